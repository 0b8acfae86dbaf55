#include "tests/unit/store/store_testing.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <utility>

#include "daemon/store/sqlite.h"

namespace credsync::store::testing {
namespace {

// Longer than any disk of a test machine takes; reached only when something is broken.
constexpr std::chrono::seconds kPatience{30};

std::string text(const std::optional<WallTime>& time) {
  return time ? std::to_string(time->time_since_epoch().count()) : "-";
}

std::string text(const Secret& secret) {
  return "<" + std::string(secret.expose()) + ">";
}

std::string text(const Standing& standing) {
  std::string out = std::string(account::to_string(standing.state)) + " since " + text(standing.since);
  if (const auto& t = standing.trouble)
    out += " " + t->error_class + "/" + t->code + "/" + t->words + " at " + text(t->at);
  return out;
}

}  // namespace

void TestLoop::post(UniqueFunction<void()> task) {
  const std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
  changed_.notify_one();
}

bool TestLoop::run_until(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    UniqueFunction<void()> task;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait_until(lock, deadline, [this] { return !tasks_.empty(); })) return false;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
  return true;
}

void TestLoop::run_posted() {
  std::deque<UniqueFunction<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (auto& task : tasks)
    task();
}

TemporaryFolder::TemporaryFolder(Where where) {
  const bool memory = where == Where::kMemory && ::access("/dev/shm", W_OK) == 0;
  const std::string folder = memory ? "/dev/shm" : std::filesystem::temp_directory_path().string();
  std::string name = folder + "/credsync-store-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

SqliteStoreOptions options_for(const std::string& state_dir) {
  SqliteStoreOptions options;
  options.state_dir = state_dir;
  options.key = {KeySource::Kind::kFile, state_dir + "/credsyncd.key"};
  options.slots = {4, 16 * 1024};
  options.times = {std::chrono::milliseconds(300), std::chrono::milliseconds(300), std::chrono::milliseconds(100)};
  return options;
}

Result<Ids> apply(TokenStore& store, TestLoop& loop, Change change) {
  std::optional<Result<Ids>> answer;
  store.apply(std::move(change), [&](Result<Ids> result) { answer = std::move(result); });
  if (!loop.run_until([&] { return answer.has_value(); })) return timed_out("no answer");
  return *answer;
}

Result<SlotId> begin(TokenStore& store, TestLoop& loop, Intent intent) {
  std::optional<Result<SlotId>> answer;
  store.begin_rotation(std::move(intent), [&](Result<SlotId> result) { answer = std::move(result); });
  if (!loop.run_until([&] { return answer.has_value(); })) return timed_out("no answer");
  return *answer;
}

account::TokenSet tokens(const std::string& mark) {
  account::TokenSet t;
  t.access_token = Secret("access-" + mark);
  t.refresh_token = Secret("refresh-" + mark);
  t.id_token = Secret("id-" + mark);
  t.token_type = "DPoP";
  t.scope = {"read", "write"};
  t.obtained_at = wall_from_seconds(1'700'000'000) + 5us;
  t.expires_at = wall_from_seconds(1'700'003'600);
  t.refresh_in = 1800s;
  t.refresh_expires_at = wall_from_seconds(1'702'592'000);
  t.jitter = 0.125;
  t.extra = {{"instance_url", "https://" + mark + ".example/"}, {"empty", ""}};
  t.subject = "subject-" + mark;
  return t;
}

Retirement retirement(const std::string& account, Generation generation, const std::string& mark, RetiredKind kind) {
  Retirement r;
  r.account = account;
  r.identity = "identity-of-" + account;
  r.generation = generation;
  r.kind = kind;
  r.token = Secret("retired-" + mark);
  r.order = Secret("order-" + mark);
  r.not_before = wall_from_seconds(1'700'000'060);
  r.give_up_at = wall_from_seconds(1'702'592'000);
  return r;
}

Standing standing(State state) {
  return {state, wall_from_seconds(1'700'000'000), std::nullopt};
}

Standing troubled() {
  return {State::kRetrying, wall_from_seconds(1'700'000'100),
          Trouble{"transient", "503", "the server is busy", wall_from_seconds(1'700'000'101)}};
}

Intent intent(const std::string& account, Generation generation) {
  return {account, "identity-of-" + account, generation, 0, wall_from_seconds(1'700'000'500), 0};
}

Install install(const std::string& account, Generation generation, std::optional<SlotId> slot) {
  Install i;
  i.account = account;
  i.identity = "identity-of-" + account;
  i.generation = generation;
  i.tokens = tokens(account + "-" + std::to_string(generation));
  if (generation > 1) {
    i.retire.push_back(retirement(account, generation - 1, account + "-" + std::to_string(generation - 1)));
  }
  i.slot = slot;
  i.standing = standing();
  return i;
}

ParkedGrant parked(const std::string& account, Generation generation) {
  return {0,
          account,
          "identity-of-" + account,
          generation,
          tokens(account + "-" + std::to_string(generation)),
          Secret("order-" + account),
          wall_from_seconds(1'700'600'000),
          true};
}

const StoredAccount* find(const Snapshot& snapshot, const std::string& name) {
  const auto it = std::find_if(snapshot.accounts.begin(), snapshot.accounts.end(),
                               [&](const StoredAccount& a) { return a.name == name; });
  return it == snapshot.accounts.end() ? nullptr : &*it;
}

std::string describe(const account::TokenSet& t) {
  std::ostringstream out;
  out << text(t.access_token) << text(t.refresh_token) << text(t.id_token) << t.token_type << " scope";
  for (const std::string& scope : t.scope)
    out << ' ' << scope;
  out << " obtained " << text(t.obtained_at) << " expires " << text(t.expires_at) << " refresh_in "
      << (t.refresh_in ? std::to_string(t.refresh_in->count()) : "-") << " refresh_expires "
      << text(t.refresh_expires_at) << " jitter " << t.jitter;
  for (const auto& [key, value] : t.extra)
    out << ' ' << key << '=' << value;
  out << " subject " << t.subject;
  return out.str();
}

std::string describe(const Snapshot& snapshot) {
  std::ostringstream out;
  std::map<std::string, const StoredAccount*> by_name;
  for (const StoredAccount& a : snapshot.accounts)
    by_name[a.name] = &a;
  for (const auto& [name, account] : by_name) {
    const StoredAccount& a = *account;
    out << "account " << a.name << ' ' << a.identity << ' ' << a.generation << ' '
        << (a.tokens ? describe(*a.tokens) : "no tokens") << ' ' << text(a.standing) << " password_used "
        << a.password_used << " kept " << text(a.kept_password) << " of " << a.kept_identity << " used "
        << text(a.last_used) << " spent " << a.spent << " promised " << text(a.promised_until)
        << (a.damaged ? " damaged" : "") << '\n';
  }
  for (const ParkedGrant& g : snapshot.parked) {
    out << "parked " << g.id << ' ' << g.account << ' ' << g.identity << ' ' << g.generation << ' '
        << describe(g.tokens) << text(g.order) << text(g.retire_at) << (g.rolled_back ? " rolled back" : "")
        << " promised " << text(g.promised_until) << '\n';
  }
  std::vector<std::string> intents;
  for (const Intent& i : snapshot.intents) {
    intents.push_back("intent " + i.account + ' ' + i.identity + ' ' + std::to_string(i.generation) + " sent " +
                      text(i.sent_at) + " resends " + std::to_string(i.resends) + " now " +
                      std::to_string(i.grant_number()) + '\n');
  }
  std::sort(intents.begin(), intents.end());
  for (const std::string& line : intents)
    out << line;
  for (const Retirement& r : snapshot.retirements) {
    out << "retirement " << r.id << ' ' << r.account << ' ' << r.identity << ' ' << r.generation << ' '
        << (r.kind == RetiredKind::kAccess ? "access " : "refresh ") << text(r.token) << text(r.order)
        << text(r.not_before) << ' ' << text(r.give_up_at) << ' ' << r.attempts << ' ' << r.by_sign_out << '\n';
  }
  return out.str();
}

void edit_database(const std::string& path, const std::string& sql) {
  auto database = Database::open(path);
  ASSERT_TRUE(database) << database.error().message();
  (*database)->allow_checkpoints();
  const auto edited = (*database)->execute(sql);
  ASSERT_TRUE(edited) << edited.error().message();
}

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_all(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

}  // namespace credsync::store::testing
