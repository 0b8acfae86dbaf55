// credsyncd(8): the command line. Nothing below knows Poco's application object.
#include <Poco/Util/Application.h>
#include <Poco/Util/HelpFormatter.h>
#include <Poco/Util/OptionCallback.h>
#include <Poco/Util/OptionException.h>
#include <Poco/Util/OptionSet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "base/log.h"
#include "base/message_ids.h"
#include "daemon/config/config.h"
#include "daemon/daemon.h"
#include "daemon/key_commands.h"
#include "daemon/lifecycle/handover.h"

namespace {

using Poco::Util::Application;
using Poco::Util::Option;
using Poco::Util::OptionCallback;
using Poco::Util::OptionSet;

// No core dump and no debugger of the same user: both would show tokens (design section 5, invariant 9).
void guard_memory() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// Callers' connections are bounded by descriptors: all that the hard limit allows may be used.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// XDG Base Directory Specification: an unset or relative variable means its default.
std::string xdg(const char* name, const std::string& fallback) {
  const std::string value = environment(name);
  return !value.empty() && value.front() == '/' ? value : fallback;
}

// Where systemd-logind makes a user's runtime directory, for callers whose environment does not name it.
std::string login_folder() {
  return "/run/user/" + std::to_string(::getuid());
}

credsync::config::Paths default_paths(bool user) {
  credsync::config::Paths paths;
  paths.providers = CREDSYNC_PROVIDERS_DIR;
  paths.user_instance = user;
  if (!user) {
    paths.config = "/etc/credsyncd";
    paths.state = "/var/lib/credsyncd";
    paths.runtime = "/run/credsyncd-api";
    return paths;
  }
  const std::string home = environment("HOME");
  paths.config = xdg("XDG_CONFIG_HOME", home + "/.config") + "/credsyncd";
  paths.state = xdg("XDG_STATE_HOME", home + "/.local/state") + "/credsyncd";
  paths.runtime = xdg("XDG_RUNTIME_DIR", login_folder()) + "/credsyncd";
  return paths;
}

bool is_own_folder(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid();
}

class Credsyncd final : public Application {
 public:
  Credsyncd() { setUnixOptions(true); }

 protected:
  // Configuration files of Poco's own are not read.
  void initialize(Application&) override {}

  void defineOptions(OptionSet& options) override {
    Application::defineOptions(options);
    const auto flag = [&](const char* name, const char* words, bool& target) {
      options.addOption(Option(name, "", words).callback(FlagCallback(this, &Credsyncd::set_flag)));
      flags_[name] = &target;
    };
    const auto text = [&](const char* name, const char* words, const char* argument, std::string& target) {
      options.addOption(Option(name, "", words).argument(argument).callback(FlagCallback(this, &Credsyncd::set_text)));
      texts_[name] = &target;
    };
    flag("help", "show this and end", help_);
    flag("version", "show the version and end", version_);
    flag("user", "run as the user's own instance, with XDG directories", user_);
    flag("check-config", "read the configuration, print every problem, end with 78 if there is one", check_);
    flag("dump-config", "print the merged configuration without secrets and end", dump_);
    flag("rekey", "make a new master key and end; the daemon must be stopped, as for the next three", rekey_);
    flag("recovery-key", "show a new recovery key, once, on this terminal", recovery_key_);
    flag("recover", "make a new master key by the recovery key, which is asked for", recover_);
    flag("start-over", "begin a new database when the master key is lost; the old one is kept", start_over_);
    text("key", "for these: the master key, where it is a credential; - is standard input", "FILE", key_files_.current);
    text("new-key", "for these: the new master key, instead of a random one", "FILE", key_files_.next);
    text("config", "the configuration instead of /etc/credsyncd", "DIR", config_);
    text("state", "the state instead of /var/lib/credsyncd", "DIR", state_);
    text("cache", "the second count of changes; with --state there is none unless it is named", "DIR", cache_);
    text("runtime", "the folder of the socket instead of /run/credsyncd-api", "DIR", runtime_);
    text("providers", "the shipped provider profiles", "DIR", providers_);
    text("log-level", "debug, info (default), notice, warning or error", "LEVEL", log_level_);
  }

  int main(const ArgVec& arguments) override {
    if (!arguments.empty()) return usage("unexpected argument: " + arguments.front());
    if (help_) return show_help();
    if (version_) {
      std::printf("credsyncd %s\n", CREDSYNC_VERSION);
      return EXIT_SUCCESS;
    }
    const auto level = parse_level();
    if (!level) return usage("--log-level: debug, info, notice, warning or error");
    if (const auto problem = user_surroundings_problem()) {
      std::fprintf(stderr, "credsyncd: %s\n", problem->c_str());
      return credsync::kExitConfig;
    }
    const credsync::config::Paths paths = chosen_paths();
    if (check_ || dump_) return show_config(paths);
    if (const auto problem = key_options_problem()) return usage(*problem);
    if (const auto command = key_command()) return credsync::run_key_command(*command, paths, key_files_);
    return serve(paths, *level);
  }

 private:
  using FlagCallback = OptionCallback<Credsyncd>;

  void set_flag(const std::string& name, const std::string&) { *flags_.at(name) = true; }
  void set_text(const std::string& name, const std::string& value) { *texts_.at(name) = value; }

  credsync::config::Paths chosen_paths() const {
    credsync::config::Paths paths = default_paths(user_);
    if (!config_.empty()) {
      paths.config = config_;
      paths.config_must_exist = true;
    }
    if (!state_.empty()) paths.state = state_;
    if (!runtime_.empty()) paths.runtime = runtime_;
    if (!providers_.empty()) paths.providers = providers_;
    return paths;
  }

  // What a user's own instance cannot do without.
  std::optional<std::string> user_surroundings_problem() const {
    if (!user_) return std::nullopt;
    const bool needs_home = (config_.empty() && environment("XDG_CONFIG_HOME").empty()) ||
                            (state_.empty() && environment("XDG_STATE_HOME").empty());
    if (needs_home && environment("HOME").empty())
      return "HOME is not set: say where configuration and state are with --config and --state";
    if (!runtime_.empty() || check_ || dump_) return std::nullopt;
    if (is_own_folder(xdg("XDG_RUNTIME_DIR", login_folder()))) return std::nullopt;
    if (!environment("XDG_RUNTIME_DIR").empty())
      return "XDG_RUNTIME_DIR is " + environment("XDG_RUNTIME_DIR") +
             ", which is no folder of yours; log in as this user " +
             "instead of using su or sudo, or name a folder with --runtime";
    return "XDG_RUNTIME_DIR is not set and there is no " + login_folder() +
           ": log in as this user, have `loginctl enable-linger` keep the folder, or name another with --runtime";
  }

  std::optional<credsync::log::Level> parse_level() const {
    using credsync::log::Level;
    if (log_level_ == "debug") return Level::kDebug;
    if (log_level_ == "info") return Level::kInfo;
    if (log_level_ == "notice") return Level::kNotice;
    if (log_level_ == "warning") return Level::kWarning;
    if (log_level_ == "error") return Level::kError;
    return std::nullopt;
  }

  std::optional<credsync::KeyCommand> key_command() const {
    if (rekey_) return credsync::KeyCommand::kRekey;
    if (recovery_key_) return credsync::KeyCommand::kRecoveryKey;
    if (recover_) return credsync::KeyCommand::kRecover;
    if (start_over_) return credsync::KeyCommand::kStartOver;
    return std::nullopt;
  }

  std::optional<std::string> key_options_problem() const {
    const int commands = int{rekey_} + int{recovery_key_} + int{recover_} + int{start_over_};
    if (commands > 1) return "--rekey, --recovery-key, --recover, --start-over: only one of them";
    const bool files = !key_files_.current.empty() || !key_files_.next.empty();
    if (files && commands == 0) return "--key and --new-key belong to --rekey, --recovery-key, --recover, --start-over";
    if (!key_files_.next.empty() && recovery_key_) return "--new-key: the master key does not change";
    if (key_files_.current == "-" && (key_files_.next == "-" || recover_))
      return "standard input can bring one key only";
    if (key_files_.next == "-" && recover_) return "standard input brings the recovery key already";
    return std::nullopt;
  }

  int show_help() const {
    Poco::Util::HelpFormatter formatter(options());
    formatter.setCommand("credsyncd");
    formatter.setUsage("[OPTIONS]");
    formatter.setHeader("Keeps OAuth tokens fresh and hands them to local programs.");
    formatter.setUnixStyle(true);
    formatter.format(std::cout);
    return EXIT_SUCCESS;
  }

  static int usage(const std::string& words) {
    std::fprintf(stderr, "credsyncd: %s\nTry: credsyncd --help\n", words.c_str());
    return credsync::kExitUsage;
  }

  int show_config(const credsync::config::Paths& paths) const {
    const credsync::config::Loaded loaded = credsync::config::load(paths);
    for (const auto& problem : loaded.problems)
      std::fprintf(stderr, "%s\n", credsync::config::to_string(problem).c_str());
    if (!loaded.usable()) return credsync::kExitConfig;
    if (dump_)
      std::fputs(credsync::config::dump(loaded.config).c_str(), stdout);
    else
      std::printf("%s: %zu accounts, %zu providers: no problems\n", paths.config.c_str(), loaded.config.accounts.size(),
                  loaded.config.profiles.size());
    return EXIT_SUCCESS;
  }

  // The loop takes these signals from a descriptor; no thread that is started before or after it may get one itself.
  static void block_signals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP})
      ::sigaddset(&signals, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  }

  static void note(const credsync::message_id::Named& id, std::string_view text) {
    credsync::log::write(credsync::log::Level::kNotice, id.id, text, {{"VERSION", CREDSYNC_VERSION}});
  }

  // In the journal with its id; to a person as any command says it, and as the last that is said.
  static void tell(const credsync::StartFailure& failed) {
    const bool journal = !environment("JOURNAL_STREAM").empty();
    if (!journal) credsync::log::stop();
    for (const std::string& line : failed.lines) {
      if (journal)
        credsync::log::write(credsync::log::Level::kError, credsync::message_id::kStartFailed.id, line, {});
      else
        std::fprintf(stderr, "credsyncd: %s\n", line.c_str());
    }
  }

  // With another state this is another instance, whose second count nobody keeps unless told where.
  std::string cache_dir() const {
    if (!cache_.empty() || !state_.empty()) return cache_;
    return user_ ? xdg("XDG_CACHE_HOME", environment("HOME") + "/.cache") + "/credsyncd" : "/var/cache/credsyncd";
  }

  int serve(const credsync::config::Paths& paths, credsync::log::Level level) const {
    block_signals();
    credsync::lifecycle::Handover handover = credsync::lifecycle::take_handover();
    credsync::log::start(level);
    note(credsync::message_id::kStarting, "starting");
    int status = EXIT_SUCCESS;
    {
      credsync::Daemon daemon(paths, std::move(handover), cache_dir());
      if (const auto failed = daemon.start()) {
        tell(*failed);
        credsync::log::stop();
        return failed->status;
      }
      note(credsync::message_id::kReady, "ready");
      status = daemon.run();
    }
    note(credsync::message_id::kEnded, "ended");
    credsync::log::stop();
    return status;
  }

  std::map<std::string, bool*> flags_;
  std::map<std::string, std::string*> texts_;
  bool help_ = false, version_ = false, user_ = false, check_ = false, dump_ = false;
  bool rekey_ = false, recovery_key_ = false, recover_ = false, start_over_ = false;
  credsync::KeyFiles key_files_;
  std::string config_, state_, cache_, runtime_, providers_, log_level_ = "info";
};

}  // namespace

int main(int argc, char** argv) {
  guard_memory();
  raise_descriptor_limit();
  ::umask(0077);
  ::signal(SIGPIPE, SIG_IGN);
  try {
    Credsyncd application;
    application.init(argc, argv);
    return application.run();
  } catch (const Poco::Util::OptionException& error) {
    std::fprintf(stderr, "credsyncd: %s\nTry: credsyncd --help\n", error.displayText().c_str());
    return credsync::kExitUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "credsyncd: %s\n", error.what());
    return credsync::kExitFailure;
  }
}
