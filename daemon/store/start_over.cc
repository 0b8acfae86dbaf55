#include "daemon/store/start_over.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/fail_point.h"
#include "base/log.h"
#include "daemon/store/data_key.h"
#include "daemon/store/records.h"

namespace credsync::store {
namespace {

struct Carried {
  std::string name;
  Generation generation = 0;
  bool signed_out = false;
};

struct Old {
  std::vector<Carried> accounts;
  std::int64_t next_id = 1;
  bool unreadable = false;
};

// The higher of a generation and what a later schema (migrations.cc) counts beside it: without the key the old database
// stays as it was written.
Result<std::string> higher_of_generation_and(const std::string& column, const std::string& table, Database& database) {
  const auto there =
      database.integer("SELECT COUNT(*) FROM pragma_table_info('" + table + "') WHERE name = '" + column + "'");
  if (!there) return there.error();
  return std::string(*there > 0 ? "MAX(generation, " + column + ")" : "generation");
}

// The highest number that was ever given out: an answer that is durable in its slot was published one above its intent.
Result<std::string> select_accounts(Database& database) {
  const auto of_account = higher_of_generation_and("spent", "accounts", database);
  if (!of_account) return of_account.error();
  const auto of_intent = higher_of_generation_and("renumbered", "intents", database);
  if (!of_intent) return of_intent.error();
  return "SELECT n.account, MAX(n.generation), COALESCE(a.state, 0) FROM ("
         " SELECT name AS account, " +
         *of_account +
         " AS generation FROM accounts"
         " UNION ALL SELECT account, generation FROM parked"
         " UNION ALL SELECT account, " +
         *of_intent +
         " + 1 FROM intents"
         " UNION ALL SELECT account, generation FROM retirements) AS n"
         " LEFT JOIN accounts AS a ON a.name = n.account GROUP BY n.account";
}

Result<void> read_rows(Database& database, Old& old) {
  const auto select = select_accounts(database);
  if (!select) return select.error();
  auto rows = database.prepare(*select);
  if (!rows) return rows.error();
  while (true) {
    const Result<bool> row = rows->next();
    if (!row) return row.error();
    if (!*row) break;
    old.accounts.push_back({rows->text(0), static_cast<Generation>(rows->integer(1)),
                            rows->integer(2) == static_cast<std::int64_t>(State::kSignedOut)});
  }
  const auto next = database.integer("SELECT value FROM numbers WHERE name = 'next id'");
  if (!next) return next.error();
  old.next_id = *next;
  return {};
}

bool damage(const Error& error) {
  return error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kInvalid;
}

// What is damaged is left out; anything else that keeps us from reading may pass, and is an error. The write-ahead log
// goes into the file first, for the two are moved one after the other.
Result<Old> read_old(const std::string& path) {
  Old old;
  auto database = open_without_key(path);
  if (!database && damage(database.error())) {
    old.unreadable = true;
    return old;
  }
  if (!database) return database.error();
  if (const auto read = read_rows(**database, old); !read) {
    if (!damage(read.error())) return read.error().within(path);
    old.unreadable = true;
  }
  (*database)->allow_checkpoints();
  if (const auto cut = (*database)->truncate_log(); !cut && !damage(cut.error())) return cut.error().within(path);
  return old;
}

Result<void> write_carried(Database& database, const Old& old, WallTime now) {
  CREDSYNC_TRY(database.execute("BEGIN IMMEDIATE"));
  auto insert = database.prepare(
      "INSERT INTO accounts (name, generation, state, since, trouble_class, trouble_code, trouble_words, trouble_at)"
      " VALUES (?1, ?2, ?3, ?4, 'local', 'started-over', ?5, ?4)");
  if (!insert) return insert.error();
  for (const Carried& a : old.accounts) {
    const State state = a.signed_out ? State::kSignedOut : State::kNeedsLogin;
    CREDSYNC_TRY(
        insert->with(a.name, a.generation, state, now, "the master key was lost, and the tokens with it").run());
  }
  auto mark = database.prepare("UPDATE numbers SET value = ?1 WHERE name = 'next id'");
  if (!mark) return mark.error();
  CREDSYNC_TRY(mark->with(std::max<std::int64_t>(1, old.next_id)).run());
  return database.execute("COMMIT");
}

// 20261126T051530Z: no colons, so that any shell and file system takes it.
std::string compact(WallTime time) {
  std::string text = to_rfc3339(time);
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

// An unlinked name is not enough: it must be elsewhere first.
Result<void> move_if_there(const std::string& from, const std::string& to) {
  if (!file_exists(from)) return {};
  if (::rename(from.c_str(), to.c_str()) != 0) return from_errno("move " + from + " to " + to, errno);
  return {};
}

class StartingOver {
 public:
  StartingOver(KeyTask task, StateDirectory directory, WallTime now)
      : task_(std::move(task)),
        directory_(std::move(directory)),
        now_(now),
        done_{directory_.path() + "/state.lost-" + compact(now), 0, false} {}

  Result<StartedOver> run() {
    auto key = usable_key();
    if (!key) return key.error();
    if (*key) {
      const auto opened = open_database(directory_.database(), **key);
      if (opened) return invalid("the master key opens the database: nothing is lost, and nothing was changed");
      if (opened.error().code() != ErrorCode::kCorrupt) return opened.error();
    }
    auto old = read_old(directory_.database());
    if (!old) return old.error();
    done_.accounts = old->accounts.size();
    done_.unreadable = old->unreadable;
    if (::mkdir(done_.kept_in.c_str(), 0700) != 0) return from_errno("make " + done_.kept_in, errno);
    if (!*key) {
      auto made = make_key();
      if (!made) return made.error();
      key->emplace(std::move(*made));
    }
    task_.step("key");
    CREDSYNC_FAIL_POINT("start-over.key");
    const std::string fresh = directory_.database() + ".new";
    CREDSYNC_TRY(write_database(fresh, **key, [&](Database& database) { return write_carried(database, *old, now_); }));
    task_.step("written");
    CREDSYNC_FAIL_POINT("start-over.written");
    CREDSYNC_TRY(put_aside());
    if (::rename(fresh.c_str(), directory_.database().c_str()) != 0) {
      return from_errno("replace " + directory_.database(), errno);
    }
    CREDSYNC_TRY(sync_folder_of(directory_.database()));
    task_.step("replaced");
    CREDSYNC_FAIL_POINT("start-over.replaced");
    return done_;
  }

 private:
  // The key that is there, whether or not it opens the database; nothing: one is to be made.
  Result<std::optional<Key>> usable_key() {
    if (task_.given) return std::optional<Key>(std::move(*task_.given));
    auto read = read_master_key(task_.source, directory_.key(), directory_.database(), false);
    if (read) return std::optional<Key>(std::move(read->key));
    const auto file = key_file_of(task_.source, directory_.key());
    const ErrorCode code = read.error().code();
    if (!file || file->empty() || (code != ErrorCode::kNotFound && code != ErrorCode::kInvalid)) return read.error();
    key_file_ = *file;
    return std::optional<Key>();
  }

  // A text in its place that is no key is kept with the rest.
  Result<Key> make_key() {
    if (file_exists(key_file_) && ::link(key_file_.c_str(), (done_.kept_in + "/credsyncd.key").c_str()) != 0) {
      return from_errno("keep " + key_file_, errno);
    }
    Key key = task_.new_key ? std::move(*task_.new_key) : Key::random();
    CREDSYNC_TRY(write_fresh_key(key_file_, key));
    CREDSYNC_TRY(use_fresh_key(key_file_));
    return key;
  }

  // The database itself is linked, not moved: its name is never without one, or the next start would make an empty one.
  Result<void> put_aside() {
    const std::string& kept = done_.kept_in;
    const std::string database = directory_.database();
    CREDSYNC_TRY(move_if_there(directory_.slots(), kept + "/answers.slots"));
    task_.step("slots");
    CREDSYNC_FAIL_POINT("start-over.slots");
    for (const char* rest : {"-wal", "-journal"})
      CREDSYNC_TRY(move_if_there(database + rest, kept + "/state.db" + rest));
    if (::link(database.c_str(), (kept + "/state.db").c_str()) != 0) return from_errno("keep " + database, errno);
    CREDSYNC_TRY(sync_folder_of(kept + "/state.db"));
    CREDSYNC_TRY(sync_folder_of(database));
    task_.step("kept");
    CREDSYNC_FAIL_POINT("start-over.kept");
    return {};
  }

  KeyTask task_;
  StateDirectory directory_;
  WallTime now_;
  StartedOver done_;
  std::string key_file_;
};

}  // namespace

Result<StartedOver> start_over(KeyTask task, WallTime now) {
  start_sealing();
  auto directory = take_with_database(task.state_dir);
  if (!directory) return directory.error();
  return StartingOver(std::move(task), std::move(*directory), now).run();
}

}  // namespace credsync::store
