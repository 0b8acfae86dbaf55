#include "base/log.h"

#include <poll.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/message_ids.h"

namespace credsync::log {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t kQueue = 4096;  // records waiting for a slow journal; the oldest give way
constexpr char kSeparator = '\x1f';   // between text and fields inside spdlog's one string
constexpr char kJson = '\x1e';        // before a record whose first part is a line for standard error
// While records are being lost all the time their number is told so often; and when the queue has been worked off.
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

// Not by stdio, whose lock a stuck writer would hold while the process ends.
void to_stderr(std::string_view record) {
  const bool json = record.starts_with(kJson);
  const std::string line = json ? std::string(record.substr(1, record.find(kSeparator) - 1)) + "\n" : line_of(record);
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {  // whoever gave it to us made it non-blocking
      pollfd room{STDERR_FILENO, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
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

// Used by the writer's thread alone.
class FieldSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit FieldSink(bool journal) : journal_(journal) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string_view record(message.payload.data(), message.payload.size());
    journal_ ? to_journal(record) : to_stderr(record);
  }
  void flush_() override {}

 private:
  const bool journal_;
};

// The queue and its thread, which sleeps until there is something to write (that of spdlog 1.10 looks every ten seconds).
class Writer {
 public:
  explicit Writer(Level least)
      : least_(least), logger_("credsync", std::make_shared<FieldSink>(stderr_is_the_journal())) {
    logger_.set_level(spdlog::level::trace);  // it does not know all of ours
  }

  bool wants(Level level) const { return level >= least_; }
  // Unless nearly nothing is wanted, which no option of the daemon asks for: a simulation does.
  bool wants_structured() const { return least_ < Level::kCritical; }

  void add(Level level, std::string record) {
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() == kQueue) {
        waiting_.pop_front();
        ++lost_;
      }
      waiting_.emplace_back(level, std::move(record));
    }
    something_.notify_one();
  }

  std::uint64_t lost() const {
    const std::lock_guard lock(mutex_);
    return lost_;
  }

  void begin() {
    thread_ = std::thread([this] { run(); });
  }

  // Returns when all is written, or when nothing was for so long.
  void end(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    ending_ = true;
    something_.notify_one();
    std::size_t left = 0;
    do {
      left = waiting_.size();
      over_.wait_for(lock, patience, [&] { return ended_; });
    } while (!ended_ && waiting_.size() < left);
    const bool ended = ended_;
    lock.unlock();
    ended ? thread_.join() : thread_.detach();
  }

 private:
  using Record = std::pair<Level, std::string>;

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      something_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
      if (waiting_.empty()) break;
      write_one(lock);
    }
    ended_ = true;
    over_.notify_all();
  }

  // What is lost is told in its place: before the oldest that is still there.
  void write_one(std::unique_lock<std::mutex>& lock) {
    const Record record = std::move(waiting_.front());
    waiting_.pop_front();
    const std::optional<std::uint64_t> lost = lost_to_tell();
    lock.unlock();
    if (lost) {
      put(Level::kWarning,
          pack(Level::kWarning, message_id::kLogLost.id, "log records were lost", {{"LOST", std::to_string(*lost)}}));
    }
    put(record.first, record.second);
    lock.lock();
  }

  std::optional<std::uint64_t> lost_to_tell() {
    if (lost_ == told_) return std::nullopt;
    const auto now = Steady::now();
    if (told_at_ && now - *told_at_ < kLostEvery && !waiting_.empty()) return std::nullopt;
    told_ = lost_;
    told_at_ = now;
    return lost_;
  }

  void put(Level level, std::string_view record) {
    logger_.log(spdlog::source_loc{}, to_spdlog(level), spdlog::string_view_t(record.data(), record.size()));
  }

  const Level least_;
  spdlog::logger logger_;
  mutable std::mutex mutex_;
  std::condition_variable something_, over_;
  std::deque<Record> waiting_;
  std::uint64_t lost_ = 0, told_ = 0;
  std::optional<Steady::time_point> told_at_;
  bool ending_ = false, ended_ = false;
  std::thread thread_;
};

// The one piece of process-wide state: a log must be reachable from every thread until the very end. So a writer is never
// destroyed, only left: a thread may just have found it, and its own may be stuck.
std::mutex start_and_stop;
std::atomic<Writer*> current{nullptr};

Writer& keep_for_ever(std::unique_ptr<Writer> made) {
  static auto& all = *new std::vector<std::unique_ptr<Writer>>;
  all.push_back(std::move(made));
  return *all.back();
}

}  // namespace

void write(Level level, std::string_view message_id, std::string_view text, std::initializer_list<Field> fields) {
  write_structured(level, message_id, text, fields, {});
}

void write_structured(Level level, std::string_view message_id, std::string_view text,
                      std::initializer_list<Field> fields, std::string_view json) {
  Writer* writer = current.load(std::memory_order_acquire);
  if (writer == nullptr) {
    if (level != Level::kDebug) to_stderr(pack(level, message_id, text, fields, json));
    return;
  }
  if (json.empty() ? writer->wants(level) : writer->wants_structured())
    writer->add(level, pack(level, message_id, text, fields, json));
}

void start(Level least) {
  const std::lock_guard lock(start_and_stop);
  Writer& writer = keep_for_ever(std::make_unique<Writer>(least));
  writer.begin();
  current.store(&writer, std::memory_order_release);
  std::atexit([] { stop(); });  // however the program ends
}

void stop(std::chrono::milliseconds patience) {
  const std::lock_guard lock(start_and_stop);
  if (Writer* writer = current.exchange(nullptr)) writer->end(patience);
}

std::uint64_t lost() {
  const Writer* writer = current.load(std::memory_order_acquire);
  return writer == nullptr ? 0 : writer->lost();
}

}  // namespace credsync::log
