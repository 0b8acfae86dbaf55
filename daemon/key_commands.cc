#include "daemon/key_commands.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/file.h"
#include "daemon/daemon.h"
#include "daemon/store/key_change.h"
#include "daemon/store/master_key.h"
#include "daemon/store/start_over.h"
#include "daemon/terminal.h"

namespace credsync {
namespace {

int fail(const Error& error) {
  std::fprintf(stderr, "credsyncd: %s\n", error.message().c_str());
  if (error.code() == ErrorCode::kCancelled) return kExitFailure;
  return error.code() == ErrorCode::kIo || error.code() == ErrorCode::kFull ? kExitFailure : kExitConfig;
}

Result<std::optional<store::Key>> read_key(const std::string& path) {
  if (path.empty()) return std::optional<store::Key>();
  auto text = path == "-" ? read_hidden_line("") : read_checked_file(path, store::kMaxKeyFile, Secrecy::kSecret);
  if (!text) return text.error();
  auto key = store::decode_key(std::move(*text), path == "-" ? "standard input" : path);
  if (!key) return key.error();
  return std::optional<store::Key>(std::move(*key));
}

// Files that root makes here would be closed to the daemon.
Result<void> check_user(const std::string& state) {
  struct stat status {};
  if (::stat(state.c_str(), &status) != 0 || status.st_uid == ::geteuid()) return {};
  const passwd* owner = ::getpwuid(status.st_uid);
  const std::string name = owner != nullptr ? owner->pw_name : "#" + std::to_string(status.st_uid);
  return denied(state + " belongs to " + name + ": run this as that user, as in: runuser -u " + name +
                " -- credsyncd …");
}

Result<store::KeyTask> make_task(const config::Paths& paths, const config::Config& config, const KeyFiles& files) {
  CREDSYNC_TRY(check_user(paths.state));
  store::KeyTask task;
  task.state_dir = paths.state;
  task.source = key_source(config.store.key);
  auto current = read_key(files.current);
  if (!current) return current.error().within("--key");
  auto next = read_key(files.next);
  if (!next) return next.error().within("--new-key");
  task.given = std::move(*current);
  task.new_key = std::move(*next);
  return task;
}

int tell_changed(const Result<store::KeyChanged>& changed) {
  if (!changed) return fail(changed.error());
  if (changed->file.empty()) {
    std::printf(
        "The new master key (id %s) opens the database from now on.\n"
        "Put it where the daemon's credential comes from, and start credsyncd: then the old key opens nothing any more.\n",
        changed->id.c_str());
  } else {
    std::printf("The master key in %s is new (id %s). Keep a copy of it, apart from the database.\n",
                changed->file.c_str(), changed->id.c_str());
  }
  return EXIT_SUCCESS;
}

bool show(const WipedString& recovery) {
  constexpr std::string_view kBefore =
      "The recovery key. Write it down and keep it apart from this machine; it is not shown again.\n\n    ";
  constexpr std::string_view kAfter = "\n\n";
  WipedString page;
  page.text().reserve(kBefore.size() + recovery.text().size() + kAfter.size());
  page.text().append(kBefore).append(recovery.text()).append(kAfter);
  return show_on_terminal(page.text());
}

int make_recovery_key(store::KeyTask task) {
  if (!output_is_terminal()) {
    return fail(denied("a recovery key is shown on a terminal only: it must not end in a file or a log"));
  }
  const auto made = store::make_recovery_key(std::move(task), show);
  if (!made) {
    std::fputs("credsyncd: the key above does not count:\n", stderr);
    return fail(made.error());
  }
  std::puts("It counts from now on; one that was made before opens nothing any more.");
  return EXIT_SUCCESS;
}

int recover(store::KeyTask task) {
  const auto text = read_hidden_line("Recovery key: ");
  if (!text) return fail(text.error());
  const auto key = store::RecoveryKey::parse(text->text());
  if (!key) return fail(key.error());
  return tell_changed(store::recover_with(std::move(task), *key));
}

int start_over(store::KeyTask task) {
  const auto done = store::start_over(std::move(task), SystemClock().wall());
  if (!done) return fail(done.error());
  std::printf("Begun anew. The old database is in %s, in case its key turns up.\n", done->kept_in.c_str());
  std::printf("%zu accounts are known by name; those that need a person need a login: credsync status\n",
              done->accounts);
  if (done->unreadable) std::puts("The old database could not be read: generations begin anew, too.");
  std::puts("Tokens in the old database stay good at their providers until they expire or are revoked there.");
  return EXIT_SUCCESS;
}

}  // namespace

store::KeySource key_source(const config::SecretSource& source) {
  switch (source.kind) {
    case config::SecretSource::Kind::kFile: return {store::KeySource::Kind::kFile, source.path};
    case config::SecretSource::Kind::kCredential: return {store::KeySource::Kind::kCredential, source.path};
    default: return {};
  }
}

int run_key_command(KeyCommand command, const config::Paths& paths, const KeyFiles& files) {
  const config::Loaded loaded = config::load(paths);
  for (const config::Problem& problem : loaded.problems)
    std::fprintf(stderr, "%s\n", config::to_string(problem).c_str());
  if (!loaded.usable()) return kExitConfig;
  auto task = make_task(paths, loaded.config, files);
  if (!task) return fail(task.error());
  switch (command) {
    case KeyCommand::kRekey: return tell_changed(store::change_master_key(std::move(*task)));
    case KeyCommand::kRecoveryKey: return make_recovery_key(std::move(*task));
    case KeyCommand::kRecover: return recover(std::move(*task));
    case KeyCommand::kStartOver: return start_over(std::move(*task));
  }
  return kExitFailure;
}

}  // namespace credsync
