#include "daemon/store/answer_slots.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/fail_point.h"
#include "base/log.h"
#include "base/message_ids.h"
#include "daemon/store/state_directory.h"

namespace credsync::store {
namespace {

constexpr std::size_t kFileHeader = 4096;  // one page, so that slots are aligned
constexpr char kFileMagic[8] = {'C', 'S', 'S', 'L', 'O', 'T', 'S', '1'};
constexpr char kSlotMagic[8] = {'C', 'S', 'A', 'N', 'S', 'W', 'R', '1'};
constexpr std::uint32_t kSmallestSlot = 4096;
constexpr std::uint32_t kLargestSlot = 16 * 1024 * 1024;
constexpr std::uint32_t kIndexMask = 0xff;
constexpr unsigned kTurnShift = 8;
constexpr std::uint32_t kTurnMask = 0xffffff;
constexpr std::size_t kChecksumBytes = 16;

// Host byte order: the file never leaves the host with its intents.
struct FileHeader {
  char magic[8];
  std::uint32_t count;
  std::uint32_t bytes;
};
struct SlotHeader {
  char magic[8];
  std::uint32_t id;
  std::uint32_t size;                      // of the sealed answer that follows
  unsigned char checksum[kChecksumBytes];  // of id, size and the sealed answer: tells a torn write from a wrong key
};
static_assert(sizeof(SlotHeader) == 32);

std::array<unsigned char, kChecksumBytes> checksum_of(const SlotHeader& header, std::string_view sealed) {
  crypto_generichash_state state;
  ::crypto_generichash_init(&state, nullptr, 0, kChecksumBytes);
  ::crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(&header.id), sizeof header.id);
  ::crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(&header.size), sizeof header.size);
  ::crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(sealed.data()), sealed.size());
  std::array<unsigned char, kChecksumBytes> sum{};
  ::crypto_generichash_final(&state, sum.data(), sum.size());
  return sum;
}

Result<void> write_at(int fd, std::string_view bytes, std::int64_t offset) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return from_errno("write answers.slots", errno);
    bytes.remove_prefix(static_cast<std::size_t>(put));
    offset += put;
  }
  return {};
}

// kCorrupt: there is not so much. Any other error may pass, and says nothing of what lies there.
Result<std::string> read_at(int fd, std::int64_t offset, std::size_t size) {
  if (const int broken = CREDSYNC_FAIL_POINT("slots.read")) return from_errno("read", broken);
  std::string bytes(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const ssize_t got = ::pread(fd, bytes.data() + have, size - have, offset + static_cast<std::int64_t>(have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return from_errno("read", errno);
    if (got == 0) return corrupt("it ends too early");
    have += static_cast<std::size_t>(got);
  }
  return bytes;
}

// Written full of zeros, not only allocated: a later write must not need new blocks or metadata.
Result<Descriptor> fill(const std::string& path, const SlotGeometry& geometry) {
  Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return from_errno("create " + path, errno);
  std::string page(kFileHeader, '\0');
  FileHeader header{};
  std::memcpy(header.magic, kFileMagic, sizeof header.magic);
  header.count = geometry.count;
  header.bytes = geometry.bytes;
  std::memcpy(page.data(), &header, sizeof header);
  CREDSYNC_TRY(write_at(fd.get(), page, 0));
  const std::string zeros(geometry.bytes, '\0');
  for (std::uint32_t i = 0; i < geometry.count; ++i) {
    CREDSYNC_TRY(write_at(fd.get(), zeros, static_cast<std::int64_t>(kFileHeader + std::size_t{i} * geometry.bytes)));
  }
  if (::fsync(fd.get()) != 0) return from_errno("sync " + path, errno);
  return fd;
}

Result<Descriptor> make_file(const std::string& path, const SlotGeometry& geometry) {
  const std::string fresh = path + ".new";
  auto file = fill(fresh, geometry);
  if (!file) {
    ::unlink(fresh.c_str());
    return file.error();
  }
  CREDSYNC_FAIL_POINT("slots.made");
  if (::rename(fresh.c_str(), path.c_str()) != 0) return from_errno("create " + path, errno);
  CREDSYNC_FAIL_POINT("slots.named");
  CREDSYNC_TRY(sync_folder_of(path));
  return file;
}

// The geometry an existing file says it has; kCorrupt if it is not whole.
Result<SlotGeometry> geometry_of(int fd) {
  const Error damaged = corrupt("not a whole file of answers");
  struct stat status {};
  if (::fstat(fd, &status) != 0) return from_errno("stat", errno);
  if (!S_ISREG(status.st_mode)) return damaged;
  const auto bytes = read_at(fd, 0, sizeof(FileHeader));
  if (!bytes) return bytes.error();
  FileHeader header{};
  std::memcpy(&header, bytes->data(), sizeof header);
  if (std::memcmp(header.magic, kFileMagic, sizeof header.magic) != 0) return damaged;
  if (header.count == 0 || header.count > kMostSlots) return damaged;
  if (header.bytes < kSmallestSlot || header.bytes > kLargestSlot) return damaged;
  const std::size_t size = kFileHeader + std::size_t{header.count} * header.bytes;
  if (static_cast<std::size_t>(status.st_size) != size) return damaged;
  return SlotGeometry{header.count, header.bytes};
}

Place place_of(SlotId id, const std::string& account, Generation generation) {
  return {"answers.slots", account, generation, std::int64_t{id}};
}

}  // namespace

AnswerSlots::AnswerSlots(Descriptor file, std::string path, SlotGeometry geometry, bool made)
    : file_(std::move(file)),
      path_(std::move(path)),
      geometry_(geometry),
      made_(made),
      slots_(geometry.count),
      next_turn_(::randombytes_uniform(kTurnMask)) {}

Result<AnswerSlots> AnswerSlots::open(const std::string& path, const SlotGeometry& geometry) {
  CHECK(geometry.count > 0 && geometry.count <= kMostSlots);
  CHECK(geometry.bytes >= kSmallestSlot && geometry.bytes <= kLargestSlot);
  Descriptor existing(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!existing && errno != ENOENT) return from_errno("open " + path, errno);
  if (existing) {
    const auto found = geometry_of(existing.get());
    if (found) return AnswerSlots(std::move(existing), path, *found, false);
    if (found.error().code() != ErrorCode::kCorrupt) return found.error().within(path);
    const std::string aside = path + ".damaged";
    if (::rename(path.c_str(), aside.c_str()) != 0) return from_errno("set aside " + path, errno);
    CREDSYNC_FAIL_POINT("slots.set-aside");
    log::write(log::Level::kError, message_id::kStateDamaged.id,
               "the file of reserved answers is damaged; it was set aside and made anew", {{"FILE", aside}});
  }
  auto file = make_file(path, geometry);
  if (!file) return file.error();
  return AnswerSlots(std::move(*file), path, geometry, true);
}

AnswerSlots::Slot* AnswerSlots::find(SlotId id) {
  const std::uint32_t index = id & kIndexMask;
  return index < slots_.size() && slots_[index].id == id ? &slots_[index] : nullptr;
}

const AnswerSlots::Slot* AnswerSlots::find(SlotId id) const {
  return const_cast<AnswerSlots*>(this)->find(id);
}

std::int64_t AnswerSlots::offset(SlotId id) const {
  return static_cast<std::int64_t>(kFileHeader + std::size_t{id & kIndexMask} * geometry_.bytes);
}

std::optional<SlotId> AnswerSlots::reserve(const std::string& account, Generation generation) {
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    if (slots_[index].id) continue;
    next_turn_ = next_turn_ % kTurnMask + 1;  // 1 to kTurnMask: no id is 0
    const SlotId id = (next_turn_ << kTurnShift) | index;
    slots_[index] = Slot{id, account, generation, 0};
    return id;
  }
  return std::nullopt;
}

bool AnswerSlots::occupy(const Intent& intent) {
  const std::uint32_t index = intent.slot & kIndexMask;
  if (index >= slots_.size() || slots_[index].id) return false;
  slots_[index] = Slot{intent.slot, intent.account, intent.generation, geometry_.bytes};
  return true;
}

bool AnswerSlots::retake(SlotId id, const std::string& account, Generation generation) {
  const std::uint32_t index = id & kIndexMask;
  if (index >= slots_.size() || slots_[index].id) return false;
  slots_[index] = Slot{id, account, generation, 0};
  return true;
}

void AnswerSlots::vacate(SlotId id) {
  if (Slot* slot = find(id)) *slot = Slot{};
}

void AnswerSlots::release(SlotId id) {
  Slot* slot = find(id);
  if (slot == nullptr) return;
  wipe_at(offset(id), slot->written);
  *slot = Slot{};
}

std::size_t AnswerSlots::free() const {
  return static_cast<std::size_t>(std::count_if(slots_.begin(), slots_.end(), [](const Slot& s) { return !s.id; }));
}

Result<void> AnswerSlots::put(SlotId id, std::string_view answer, const Sealer& sealer) {
  Slot* slot = find(id);
  CHECK(slot != nullptr);
  const std::string sealed = sealer.seal(answer, place_of(id, slot->account, slot->generation));
  if (sizeof(SlotHeader) + sealed.size() > geometry_.bytes) return exhausted("the answer is larger than a slot");
  SlotHeader header{};
  std::memcpy(header.magic, kSlotMagic, sizeof header.magic);
  header.id = id;
  header.size = static_cast<std::uint32_t>(sealed.size());
  const auto sum = checksum_of(header, sealed);
  std::memcpy(header.checksum, sum.data(), sum.size());
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes.append(sealed);
  slot->written = std::max(slot->written, bytes.size());
  if (const int broken = CREDSYNC_FAIL_POINT("slots.put")) return from_errno("write answers.slots", broken);
  return write_at(file_.get(), bytes, offset(id));
}

// What O_DSYNC would do after every write, once for all of them: the blocks exist, so no metadata is waited for.
Result<void> AnswerSlots::sync() {
  if (const int broken = CREDSYNC_FAIL_POINT("slots.sync")) return from_errno("sync answers.slots", broken);
  if (::fdatasync(file_.get()) != 0) return from_errno("sync answers.slots", errno);
  return {};
}

Result<std::string> AnswerSlots::read(std::int64_t offset, std::size_t size) const {
  auto bytes = read_at(file_.get(), offset, size);
  if (!bytes) return bytes.error().within(path_);
  return bytes;
}

Result<std::optional<WipedString>> AnswerSlots::answer(SlotId id, const Sealer& sealer) {
  const Slot* slot = find(id);
  CHECK(slot != nullptr);
  auto head = read(offset(id), sizeof(SlotHeader));
  if (!head) return head.error();
  SlotHeader header{};
  std::memcpy(&header, head->data(), sizeof header);
  // Zeros, or an answer of an earlier turn: nothing came for this intent.
  if (std::memcmp(header.magic, kSlotMagic, sizeof header.magic) != 0 || header.id != id)
    return std::optional<WipedString>();
  if (header.size > geometry_.bytes - sizeof header) return set_aside(id, "its header is damaged");
  auto sealed = read(offset(id) + static_cast<std::int64_t>(sizeof header), header.size);
  if (!sealed) return sealed.error();
  const auto sum = checksum_of(header, *sealed);
  if (std::memcmp(sum.data(), header.checksum, sum.size()) != 0) return set_aside(id, "it was cut off or changed");
  auto plain = sealer.open(*sealed, place_of(id, slot->account, slot->generation));
  if (!plain) return set_aside(id, plain.error().message());
  return std::optional<WipedString>(std::move(*plain));
}

// One file a slot at most, so that damage that comes back does not fill the disk: the newest.
Error AnswerSlots::set_aside(SlotId id, std::string_view why) const {
  const std::string aside = path_ + "." + std::to_string(id & kIndexMask) + ".damaged", fresh = aside + ".new";
  const auto bytes = read(offset(id), geometry_.bytes);
  if (!bytes) return bytes.error();
  ::unlink(fresh.c_str());
  const bool kept = create_file(fresh, *bytes, 0600) && ::rename(fresh.c_str(), aside.c_str()) == 0;
  if (!kept) ::unlink(fresh.c_str());
  log::write(log::Level::kError, message_id::kStateDamaged.id,
             "a stored answer does not open; the outcome of its refresh is unknown",
             {{"ACCOUNT", find(id)->account}, {"WHY", std::string(why)}, {"KEPT_IN", kept ? aside : "nothing"}});
  return corrupt(std::string(why));
}

void AnswerSlots::wipe_at(std::int64_t offset, std::size_t size) {
  if (size == 0) return;
  const std::string zeros(size, '\0');
  [[maybe_unused]] const auto wiped = write_at(file_.get(), zeros, offset);  // sealed and void: a failure harms nothing
}

void AnswerSlots::wipe_free() {
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    if (slots_[index].id) continue;
    const auto head = read(offset(index), sizeof(SlotHeader));
    SlotHeader header{};
    if (head) std::memcpy(&header, head->data(), sizeof header);
    if (header.id == 0 && header.size == 0) continue;
    wipe_at(offset(index), std::min(std::size_t{header.size} + sizeof header, std::size_t{geometry_.bytes}));
  }
}

}  // namespace credsync::store
