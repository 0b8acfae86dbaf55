#include "base/log.h"

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "base/message_ids.h"

namespace credsync::log {
namespace {

constexpr std::size_t kQueue = 4096;  // records waiting for a slow journal; the oldest give way
constexpr char kSeparator = '\x1f';   // between text and fields inside spdlog's one string
constexpr char kJson = '\x1e';        // before a record whose first part is a line for standard error
// The number of lost records is told so often at most: it takes a place in the queue itself.
constexpr std::chrono::seconds kLostEvery{60};

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kNotice: return spdlog::level::info;
    case Level::kWarning: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
    case Level::kCritical: return spdlog::level::critical;
  }
  return spdlog::level::info;
}

// syslog(3) priorities
int priority_of(Level level) {
  switch (level) {
    case Level::kDebug: return 7;
    case Level::kInfo: return 6;
    case Level::kNotice: return 5;
    case Level::kWarning: return 4;
    case Level::kError: return 3;
    case Level::kCritical: return 2;
  }
  return 6;
}

// A record as one string: MESSAGE=…␟PRIORITY=…␟KEY=value␟…, after ␞{…}␟ if there is a JSON line.
std::string pack(Level level, std::string_view message_id, std::string_view text, std::initializer_list<Field> fields,
                 std::string_view json = {}) {
  std::string out;
  if (!json.empty()) out.append(1, kJson).append(json).append(1, kSeparator);
  out += "MESSAGE=";
  out.append(text);
  const auto add = [&](std::string_view key, std::string_view value) {
    out += kSeparator;
    out.append(key).append("=");
    for (const char c : value)
      out += c == kSeparator || c == '\n' ? ' ' : c;
  };
  add("PRIORITY", std::to_string(priority_of(level)));
  if (!message_id.empty()) add("MESSAGE_ID", message_id);
  for (const Field& field : fields)
    add(field.key, field.value);
  return out;
}

std::vector<std::string_view> unpack(std::string_view record) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = record.find(kSeparator);
    parts.push_back(record.substr(0, end));
    if (end == std::string_view::npos) return parts;
    record.remove_prefix(end + 1);
  }
}

std::string lower(std::string_view key) {
  std::string out;
  for (const char c : key)
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// "<4>text account=flat-me generation=7": the prefix only where somebody reads it (a service's standard error).
std::string line_of(std::string_view record) {
  std::string line;
  for (const std::string_view part : unpack(record)) {
    const std::size_t equals = part.find('=');
    const std::string_view key = part.substr(0, equals);
    const std::string_view value = part.substr(equals + 1);
    if (key == "MESSAGE") {
      line.append(value);
    } else if (key == "PRIORITY") {
      static constexpr std::string_view kWords[8] = {"emerg",   "alert",  "critical", "error",
                                                     "warning", "notice", "info",     "debug"};
      line = std::string(kWords[static_cast<unsigned>(value.front() - '0') & 7]) + ": " + line;
    } else if (key != "MESSAGE_ID") {
      const bool quote = value.empty() || value.find(' ') != std::string_view::npos;
      line += ' ';
      line.append(lower(key)).append(quote ? "=\"" : "=").append(value).append(quote ? "\"" : "");
    }
  }
  return line + "\n";
}

void to_stderr(std::string_view record) {
  const bool json = record.starts_with(kJson);
  const std::string line = json ? std::string(record.substr(1, record.find(kSeparator) - 1)) + "\n" : line_of(record);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void to_journal(std::string_view record) {
  std::vector<iovec> fields;
  if (record.starts_with(kJson)) record.remove_prefix(record.find(kSeparator) + 1);
  for (const std::string_view part : unpack(record)) {
    fields.push_back({const_cast<char*>(part.data()), part.size()});
  }
  ::sd_journal_sendv(fields.data(), static_cast<int>(fields.size()));
}

// $JOURNAL_STREAM is "device:inode" of the stream systemd connected us to (systemd.exec(5)).
bool stderr_is_the_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || ::fstat(2, &status) != 0) return false;
  return std::string(stream) == std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

class FieldSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FieldSink(bool journal) : journal_(journal) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string_view record(message.payload.data(), message.payload.size());
    journal_ ? to_journal(record) : to_stderr(record);
  }
  void flush_() override { std::fflush(stderr); }

 private:
  const bool journal_;
};

struct Writer {
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
};

// The one piece of process-wide state: a logger must be reachable from every thread until the very end.
Writer& writer() {
  static Writer instance;
  return instance;
}
std::atomic<bool> running{false};
std::atomic<std::uint64_t> lost_told{0};
std::atomic<std::chrono::steady_clock::rep> lost_told_at{std::numeric_limits<std::chrono::steady_clock::rep>::min()};

void hand_over(Level level, const std::string& record) {
  writer().logger->log(spdlog::source_loc{}, to_spdlog(level), spdlog::string_view_t(record.data(), record.size()));
}

// One thread tells it, the first that sees it.
void tell_lost(bool at_once) {
  const std::uint64_t lost = writer().pool->overrun_counter();
  std::uint64_t told = lost_told.load(std::memory_order_relaxed);
  if (lost <= told) return;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto before = lost_told_at.load(std::memory_order_relaxed);
  const bool too_soon = before != std::numeric_limits<std::chrono::steady_clock::rep>::min() &&
                        now - std::chrono::steady_clock::duration(before) < kLostEvery;
  if ((too_soon && !at_once) || !lost_told.compare_exchange_strong(told, lost)) return;
  lost_told_at.store(now.count(), std::memory_order_relaxed);
  hand_over(Level::kWarning,
            pack(Level::kWarning, message_id::kLogLost.id, "log records were lost", {{"LOST", std::to_string(lost)}}));
}

}  // namespace

void write(Level level, std::string_view message_id, std::string_view text, std::initializer_list<Field> fields) {
  write_structured(level, message_id, text, fields, {});
}

void write_structured(Level level, std::string_view message_id, std::string_view text,
                      std::initializer_list<Field> fields, std::string_view json) {
  if (!running.load(std::memory_order_acquire)) {
    if (level != Level::kDebug) to_stderr(pack(level, message_id, text, fields, json));
    return;
  }
  if (!writer().logger->should_log(to_spdlog(level))) return;
  hand_over(level, pack(level, message_id, text, fields, json));
  tell_lost(false);
}

void start(Level least) {
  Writer& w = writer();
  w.pool = std::make_shared<spdlog::details::thread_pool>(kQueue, 1);
  w.logger = std::make_shared<spdlog::async_logger>("credsync", std::make_shared<FieldSink>(stderr_is_the_journal()),
                                                    w.pool, spdlog::async_overflow_policy::overrun_oldest);
  w.logger->set_level(to_spdlog(least));
  running.store(true, std::memory_order_release);
}

void stop() {
  if (!running.exchange(false)) return;
  tell_lost(true);
  writer().logger.reset();
  writer().pool.reset();  // drains and joins
}

std::uint64_t lost() {
  return running.load() ? writer().pool->overrun_counter() : 0;
}

}  // namespace credsync::log
