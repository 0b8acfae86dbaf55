// The file of reserved answers, damaged in any way: an answer that was stored is found whole or called damaged, never
// changed, and a damaged file is set aside, never used.
//
//   lines "OFFSET=HEX" of what is overwritten, an offset relative to the file ("4096") or the answer ("a12"), or "cut=SIZE"
#include "daemon/store/answer_slots.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/log.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

constexpr store::SlotGeometry kGeometry{2, 4096};
constexpr std::size_t kFileHeader = 4096;
constexpr std::string_view kAnswer = "what the provider sent";

struct Written {
  std::string content;
  store::SlotId slot = 0;
};

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void write_all(const std::string& path, std::string_view content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

const store::Sealer& sealer() {
  store::start_sealing();
  static const store::Sealer one(store::Key::from("0123456789abcdef0123456789abcdef"));
  return one;
}

const Written& written() {
  static const Written once = [] {
    const std::string path = scratch_folder() + "/whole.slots";
    auto slots = store::AnswerSlots::open(path, kGeometry);
    HOLDS(slots);
    const auto slot = slots->reserve("flat-me", 7);
    HOLDS(slot && slots->put(*slot, kAnswer, sealer()) && slots->sync());
    return Written{read_all(path), *slot};
  }();
  return once;
}

std::size_t decimal(std::string_view text) {
  std::size_t value = 0;
  for (const char c : text)
    value = value * 10 + (c >= '0' && c <= '9' ? static_cast<std::size_t>(c - '0') : 0);
  return value;
}

void damage(std::string& content, std::string_view line) {
  const std::size_t equals = std::min(line.find('='), line.size());
  const std::string_view where = line.substr(0, equals);
  std::string_view what = line.substr(std::min(equals + 1, line.size()));
  if (where == "cut") return content.resize(std::min<std::size_t>(decimal(what), 3 * kFileHeader));
  const bool answer = where.starts_with('a');
  std::size_t at = decimal(where.substr(answer ? 1 : 0));
  if (answer) at += kFileHeader + (written().slot & 0xff) * kGeometry.bytes;
  const auto digit = [](char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; };
  for (; what.size() >= 2 && at < content.size(); ++at, what.remove_prefix(2))
    content[at] = static_cast<char>(digit(what[0]) * 16 + digit(what[1]));
}

}  // namespace

// Each damage is logged, which is not what is looked at here.
void log::write(log::Level, std::string_view, std::string_view, std::initializer_list<log::Field>) {}

void run(Input input) {
  std::string content = written().content;
  while (!input.rest().empty())
    damage(content, input.line());
  const std::string path = scratch_folder() + "/answers.slots";
  for (const auto& entry : std::filesystem::directory_iterator(scratch_folder())) {
    if (entry.path() != scratch_folder() + "/whole.slots") std::filesystem::remove(entry.path());
  }
  write_all(path, content);
  auto slots = store::AnswerSlots::open(path, kGeometry);
  HOLDS(slots);
  if (slots->made()) HOLDS(content != written().content && read_all(path + ".damaged") == content);
  for (const store::SlotId slot : {written().slot, written().slot + (1u << 8), written().slot ^ 1}) {
    const std::size_t before = slots->free();
    if (!slots->occupy({"flat-me", "identity", 7, slot, {}, 0})) continue;
    HOLDS(slots->free() == before - 1);
    const auto answer = slots->answer(slot, sealer());
    if (!answer) {
      HOLDS(answer.error().code() == ErrorCode::kCorrupt);
    } else if (*answer) {
      HOLDS(slot == written().slot && (*answer)->text() == kAnswer);
    } else if (slot == written().slot) {
      HOLDS(content != written().content);  // an answer that is there is never taken for none
    }
    slots->release(slot);
    HOLDS(slots->free() == before);
  }
  slots->wipe_free();
  const std::string after = read_all(path);
  HOLDS(after.size() > kFileHeader);
}
