#include "daemon/store/sqlite_store.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "daemon/store/database_file.h"
#include "daemon/store/key_change.h"
#include "daemon/store/recovery.h"
#include "daemon/store/state_directory.h"
#include "daemon/store/write_queue.h"

namespace credsync::store {
namespace {

// Changes in one transaction: enough to make a sync cheap, few enough that the first does not wait long for the last.
constexpr std::size_t kBatch = 256;

// A lost key is for a person to mend, who must know how.
Error with_ways_out(const Error& error, const std::string& database) {
  auto opened = open_without_key(database);
  if (!opened) return error;
  return Error(error.code(), error.message() + "; " + ways_to_open(**opened) + "; nothing was changed");
}

Result<MasterKey> prepare_files(const StateDirectory& directory, const KeySource& source) {
  const bool exists = file_exists(directory.database());
  if (!exists && file_exists(directory.slots())) {
    return corrupt(directory.slots() + " is there, but " + directory.database() +
                   " is missing: put the database back, or move both away to begin anew; nothing was changed");
  }
  auto master = read_master_key(source, directory.key(), directory.database(), !exists);
  if (!master) return exists ? with_ways_out(master.error(), directory.database()) : master.error();
  if (!exists) CREDSYNC_TRY(make_database(directory.database(), master->key));
  return master;
}

std::vector<std::string> witnesses(const StateDirectory& directory, const std::string& cache_dir,
                                   const std::string& database) {
  std::vector<std::string> files{directory.witness()};
  if (std::string second = witness_in(cache_dir, database); !second.empty()) files.push_back(std::move(second));
  return files;
}

bool holds_an_answer(const Change& change) {
  return std::visit(
      [](const auto& c) {
        if constexpr (requires { c.slot.has_value(); }) return c.slot.has_value();
        return false;
      },
      change);
}

}  // namespace

struct SqliteStore::Parts {
  StateDirectory directory;  // last to go: its lock covers the rest
  OpenDatabase file;
  AnswerSlots slots;
  Witness witness;
  std::optional<StateWriter> writer;
  std::optional<Committer> committer;
  WriteQueue queue;
};

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const SqliteStoreOptions& options, Executor& loop,
                                                       const Clock& clock) {
  start_sealing();
  auto directory = StateDirectory::take(options.state_dir);
  if (!directory) return directory.error();
  const auto master = prepare_files(*directory, options.key);
  if (!master) return master.error();
  auto file = open_database(directory->database(), master->key);
  if (!file) return file.error();
  abandon_key_change(*file->database, *master);
  auto slots = AnswerSlots::open(directory->slots(), options.slots);
  if (!slots) return slots.error();
  Witness witness(file->id, witnesses(*directory, options.cache_dir, file->id));
  std::unique_ptr<Parts> parts(
      new Parts{std::move(*directory), std::move(*file), std::move(*slots), std::move(witness), {}, {}, {}});
  auto writer = StateWriter::create(*parts->file.database, parts->file.sealer);
  if (!writer) return explained(writer.error(), parts->directory.database());
  parts->writer.emplace(std::move(*writer));
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(parts), options.times, loop, clock));
}

SqliteStore::SqliteStore(std::unique_ptr<Parts> parts, const CommitTimes& times, Executor& loop, const Clock& clock)
    : parts_(std::move(parts)), times_(times), loop_(loop), clock_(clock) {}

SqliteStore::~SqliteStore() {
  parts_->queue.close();
  if (thread_.joinable()) thread_.join();
}

Result<Snapshot> SqliteStore::load() {
  CHECK(!thread_.joinable());
  Parts& parts = *parts_;
  const std::string told = parts.directory.restored();
  auto recovered = recover(*parts.file.database, parts.file.sealer, *parts.writer, parts.slots,
                           Past{parts.witness, file_exists(told), clock_.wall()});
  if (!recovered) return explained(recovered.error(), parts.directory.database());
  if (recovered->committed && ::unlink(told.c_str()) == 0) CREDSYNC_TRY(sync_folder_of(told));
  next_id_ = recovered->first_id;
  parts.committer.emplace(
      *parts.file.database, *parts.writer, parts.slots, parts.file.sealer, loop_, times_, [this] { return new_id(); },
      recovered->next_sequence, parts.witness, recovered->counts);
  for (Change& change : recovered->uncommitted)
    parts.committer->adopt(std::move(change));
  free_slots_ = parts.slots.free();
  late_ = parts.committer->waiting();
  parts.file.database->release_memory();
  thread_ = std::thread([this] { work(); });
  ::pthread_setname_np(thread_.native_handle(), "store");
  return std::move(recovered->state);
}

void SqliteStore::apply(Change change, UniqueFunction<void(Result<Ids>)> done) {
  const bool needed = holds_an_answer(change);
  Request request;
  request.work = std::move(change);
  request.done = std::move(done);
  if (parts_->queue.push(request, needed)) return;
  loop_.post([done = std::move(request.done)]() mutable {
    if (done) done(exhausted("too many changes wait for the disk"));
  });
}

std::int64_t SqliteStore::new_id() {
  return next_id_.fetch_add(1);
}

void SqliteStore::begin_rotation(Intent intent, UniqueFunction<void(Result<SlotId>)> done) {
  Request request;
  request.work = std::move(intent);
  request.begun = std::move(done);
  if (parts_->queue.push(request, false)) return;
  loop_.post([begun = std::move(request.begun)]() mutable { begun(exhausted("too many changes wait for the disk")); });
}

void SqliteStore::drain() {
  if (thread_.joinable()) parts_->queue.mark().wait();
}

StoreHealth SqliteStore::health() const {
  StoreHealth health;
  health.queued = parts_->queue.size();
  health.late = late_;
  health.free_slots = free_slots_;
  if (const std::int64_t since = busy_since_; since != 0) health.busy_since = BootTime(Duration(since));
  return health;
}

void SqliteStore::work() {
  Committer& committer = *parts_->committer;
  while (true) {
    auto taken = parts_->queue.take(kBatch, committer.next_moment());
    const bool last = taken.ended;
    const bool asked = !taken.marks.empty() || last;
    busy_since_ = std::max<std::int64_t>(1, clock_.boot().time_since_epoch().count());
    committer.process(std::move(taken.requests), asked);
    if (asked) committer.refuse_waiting();
    committer.tidy(last);
    busy_since_ = 0;
    free_slots_ = parts_->slots.free();
    late_ = committer.waiting();
    for (auto& mark : taken.marks)
      mark.set_value();
    if (last) return;
  }
}

}  // namespace credsync::store
