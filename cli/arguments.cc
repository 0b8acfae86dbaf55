#include "cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "base/text.h"
#include "cli/when.h"

namespace credsync::cli {
namespace {

struct Named {
  std::string_view name;
  const char* what;
};
constexpr std::array kCommands{
    Named{"token", "print an access token that is good for as long as you ask"},
    Named{"exec", "run a command that finds a token in a file in memory"},
    Named{"status", "how the accounts are, and what to do where something is wrong"},
    Named{"login", "sign an account in"},
    Named{"logout", "sign an account out: revoke what can be revoked, then forget it"},
    Named{"refresh", "refresh an account's token now"},
    Named{"reject", "say that the API refused a token"},
    Named{"account", "accounts of the configuration"},
    Named{"whoami", "how the daemon sees you, and what you may do"},
    Named{"providers", "the catalogue of providers, or one of them in full"},
    Named{"log", "who got what: the audit records"},
    Named{"reload", "make the daemon read its configuration again"},
    Named{"doctor", "look for what is wrong, and say what mends it"},
    Named{"completion", "print a completion script for a shell"}};

// CLI11's checks: an empty answer means the value is good.
std::string check_account(const std::string& name) {
  return is_account_name(name) ? "" : "an account is named with a-z, 0-9, '.', '_' and '-', 64 at most";
}

std::string check_variable(const std::string& name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const bool good =
      !name.empty() && letter(name.front()) &&
      std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
  return good ? "" : "not the name of an environment variable";
}

std::string check_duration(const std::string& text) {
  return parse_seconds(text) ? "" : "a duration is written as 90s, 10m, 12h, 30d or in seconds";
}

std::string check_wait(const std::string& text) {
  const auto seconds = parse_seconds(text);
  if (!seconds) return check_duration(text);
  return *seconds <= ipc::kLongestWait ? "" : "at most " + std::to_string(ipc::kLongestWait) + " s";
}

std::optional<std::int64_t> whole_number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::string check_whole_number(const std::string& text) {
  return whole_number(text) ? "" : "not a whole number";
}

std::string check_since(const std::string& text) {
  return parse_rfc3339(text) || parse_seconds(text) ? ""
                                                    : "a duration as 12h, or a time as 2026-01-31T12:00:00Z";
}

// A duration means that long ago.
std::string moment_of(const std::string& text) {
  if (const auto moment = parse_rfc3339(text)) return to_rfc3339(*moment);
  const auto ago = std::chrono::seconds(parse_seconds(text).value_or(0));
  return to_rfc3339(saturating_add(SystemClock().wall(), -ago));
}

class Parser {
 public:
  // Only the wanted command gets its options: building all of them costs more than asking the daemon.
  explicit Parser(std::string_view wanted) : wanted_(wanted) {
    app_.name("credsync");
    app_.description("Access tokens that are fresh, from credsyncd.");
    app_.footer("credsync COMMAND --help tells more; so does credsync(1).");
    app_.set_version_flag("--version", "credsync " CREDSYNC_VERSION);
    app_.add_option("--socket", invocation_.socket,
                    "the daemon's socket (default: $CREDSYNC_SOCKET, your own, the system's)")
        ->type_name("PATH");
    app_.require_subcommand(1);
    for (const Named& command : kCommands) {
      CLI::App* sub = app_.add_subcommand(std::string(command.name), command.what);
      sub->fallthrough();
      if (command.name == wanted_) configure(*sub);
    }
  }

  CLI::App& app() { return app_; }
  Invocation& invocation() { return invocation_; }

 private:
  void configure(CLI::App& sub);

  void account(CLI::App& sub, std::string& name, bool required = true) {
    sub.add_option("ACCOUNT", name, "the account's name")
        ->required(required)
        ->check(check_account)
        ->type_name("");
  }

  void need(CLI::App& sub, TokenNeed& need) {
    account(sub, need.account);
    sub.add_option_function<std::string>(
           "--min-valid",
           [&need](const std::string& text) { need.min_valid = parse_seconds(text).value_or(0); },
           "how long the token must be good at least")
        ->check(check_duration)
        ->type_name("DURATION");
    sub.add_option_function<std::string>(
           "--wait", [&need](const std::string& text) { need.wait = parse_seconds(text).value_or(0); },
           "how long to wait for a refresh (default 10s, at most 60s)")
        ->check(check_wait)
        ->type_name("DURATION");
  }

  // A positional or an option that takes one of a few words.
  template <typename Value, std::size_t N>
  CLI::Option* choice(CLI::App& sub, const char* name, Value& value,
                      std::array<std::pair<const char*, Value>, N> words, const char* what) {
    std::string all;
    for (const auto& word : words)
      all += (all.empty() ? "" : "|") + std::string(word.first);
    const auto find = [words](const std::string& text) -> std::optional<Value> {
      for (const auto& word : words) {
        if (text == word.first) return word.second;
      }
      return std::nullopt;
    };
    const auto check = [find, all](const std::string& text) {
      return find(text) ? std::string() : "one of " + all;
    };
    const auto set = [find, &value](const std::string& text) { value = find(text).value_or(value); };
    return sub.add_option_function<std::string>(name, set, what)->check(check)->type_name(all);
  }

  // Counts and ids.
  void number(CLI::App& sub, const char* name, std::optional<std::int64_t>& value, const char* what) {
    sub.add_option_function<std::string>(
           name, [&value](const std::string& text) { value = whole_number(text); }, what)
        ->check(check_whole_number)
        ->type_name("N");
  }

  template <typename T>
  T& begin() {
    return invocation_.command.emplace<T>();
  }

  void configure_login(CLI::App& sub);
  void configure_log(CLI::App& sub);

  std::string_view wanted_;
  CLI::App app_;
  Invocation invocation_;
};

void Parser::configure_login(CLI::App& sub) {
  auto& login = begin<LoginCommand>();
  account(sub, login.account);
  const auto method = [&](const char* name, LoginMethod value, const char* what) {
    return sub.add_flag_callback(
        name, [&login, value] { login.method = value; }, what);
  };
  CLI::Option* refresh = method("--refresh-token-stdin", LoginMethod::kRefreshTokenStdin,
                                "import a refresh token from standard input");
  CLI::Option* token =
      method("--token-stdin", LoginMethod::kTokenStdin, "import an access token from standard input");
  CLI::Option* password =
      method("--password-stdin", LoginMethod::kPasswordStdin, "take the password from standard input");
  refresh->excludes(token)->excludes(password);
  token->excludes(password);
  sub.add_option("--username", login.username, "whose password it is, where the configuration does not say")
      ->type_name("NAME");
  sub.add_flag("--no-browser,--device", login.browserless, "sign in without a browser on this machine");
}

void Parser::configure_log(CLI::App& sub) {
  auto& log = begin<LogCommand>();
  log.since = moment_of("24h");
  account(sub, log.account, false);
  sub.add_option_function<std::string>(
         "--since", [&log](const std::string& text) { log.since = moment_of(text); },
         "from when on: 12h (ago), 2026-01-31T12:00:00Z (default 24h)")
      ->check(check_since)
      ->type_name("WHEN");
  sub.add_flag("--json", log.json, "the daemon's answer as JSON");
}

void Parser::configure(CLI::App& sub) {
  if (wanted_ == "token") {
    auto& token = begin<TokenCommand>();
    need(sub, token.need);
    choice(sub, "--format", token.format,
           std::array<std::pair<const char*, TokenFormat>, 4>{{{"plain", TokenFormat::kPlain},
                                                               {"json", TokenFormat::kJson},
                                                               {"header", TokenFormat::kHeader},
                                                               {"env", TokenFormat::kEnv}}},
           "how to print it (default plain)");
  } else if (wanted_ == "exec") {
    auto& exec = begin<ExecCommand>();
    need(sub, exec.need);
    sub.add_option("--env", exec.variable,
                   "put the token into this environment variable; leakier than a file in memory")
        ->check(check_variable)
        ->type_name("NAME");
    sub.footer("Then -- and the command: credsync exec ACCOUNT -- COMMAND ...");
  } else if (wanted_ == "status") {
    auto& status = begin<StatusCommand>();
    account(sub, status.account, false);
    sub.add_flag("--json", status.json, "the daemon's answer as JSON");
    sub.add_flag("--watch", status.watch, "stay and show changes as they come");
  } else if (wanted_ == "login") {
    configure_login(sub);
  } else if (wanted_ == "logout") {
    account(sub, begin<LogoutCommand>().account);
  } else if (wanted_ == "refresh") {
    account(sub, begin<RefreshCommand>().account);
  } else if (wanted_ == "reject") {
    auto& reject = begin<RejectCommand>();
    account(sub, reject.account);
    number(sub, "--generation", reject.generation,
           "the refused token's generation; else the token is read from standard input");
  } else if (wanted_ == "account") {
    sub.require_subcommand(1);
    CLI::App* list = sub.add_subcommand("list", "the accounts that you may see");
    list->fallthrough();
    list->add_flag("--names", begin<AccountListCommand>().names, "only their names, one a line");
  } else if (wanted_ == "whoami") {
    auto& whoami = begin<WhoAmICommand>();
    number(sub, "--pid", whoami.pid, "ask for that process (needs the admin action)");
    sub.add_flag("--json", whoami.json, "the daemon's answer as JSON");
  } else if (wanted_ == "providers") {
    auto& providers = begin<ProvidersCommand>();
    sub.add_option("NAME", providers.name, "a provider's id")->check(check_account)->type_name("");
    sub.add_flag("--json", providers.json, "the daemon's answer as JSON");
  } else if (wanted_ == "log") {
    configure_log(sub);
  } else if (wanted_ == "reload") {
    begin<ReloadCommand>();
  } else if (wanted_ == "doctor") {
    begin<DoctorCommand>();
  } else if (wanted_ == "completion") {
    choice(sub, "SHELL", begin<CompletionCommand>().shell,
           std::array<std::pair<const char*, Shell>, 3>{
               {{"bash", Shell::kBash}, {"zsh", Shell::kZsh}, {"fish", Shell::kFish}}},
           "the shell")
        ->required();
  }
}

// The first word that is no option: the command.
std::string_view wanted_command(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--socket")
      ++i;
    else if (!words[i].starts_with('-'))
      return words[i];
  }
  return {};
}

// Whether a stray word may be repeated in a complaint: something that looks like a command or option, not
// like a token.
bool may_be_shown(std::string_view word) {
  constexpr std::size_t kLongest = 24;
  return word.size() <= kLongest &&
         std::all_of(word.begin(), word.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
}

std::string stray_words(const CLI::App& app, std::string_view command) {
  const std::vector<std::string> strays = app.remaining(true);
  const std::string_view first = strays.empty() ? std::string_view() : std::string_view(strays.front());
  const std::string_view option = first.substr(0, first.find('='));
  if (option.starts_with("--") && may_be_shown(option)) return "there is no option " + std::string(option);
  if (option.starts_with('-')) return "there is no such option";
  if (!app.get_subcommands().empty()) return "more arguments than '" + std::string(command) + "' takes";
  return "there is no such command";
}

std::string command_words(std::string_view command) {
  std::array<std::string_view, kCommands.size()> names;
  std::transform(kCommands.begin(), kCommands.end(), names.begin(), [](const Named& c) { return c.name; });
  if (command.empty()) return "say what to do: credsync COMMAND";
  std::string words = may_be_shown(command) ? "there is no command '" + std::string(command) + "'"
                                            : "there is no such command";
  const std::string_view near = nearest_word(command, names);
  if (!near.empty()) words += ", did you mean '" + std::string(near) + "'?";
  return words;
}

Words complaint(const std::string& text, const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  const std::string help =
      chosen.empty() ? "credsync --help" : "credsync " + chosen.front()->get_name() + " --help";
  return {"credsync: " + text + "\nTry: " + help + "\n", ipc::ExitCode::kUsage};
}

std::string first_lower(std::string text) {
  // "ACCOUNT is required" stays; "The following …" and "Could not …" are sentences of the library.
  const bool sentence = text.size() > 1 && text[1] >= 'a' && text[1] <= 'z';
  if (sentence && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

std::variant<Invocation, Words> run_parser(Parser& parser, std::vector<std::string> words,
                                           std::string_view command) {
  std::reverse(words.begin(), words.end());  // as the library takes them
  try {
    parser.app().parse(words);
  } catch (const CLI::CallForHelp&) {
    return Words{parser.app().help()};
  } catch (const CLI::CallForVersion&) {
    return Words{"credsync " CREDSYNC_VERSION "\n"};
  } catch (const CLI::ExtrasError&) {
    return complaint(stray_words(parser.app(), command), parser.app());
  } catch (const CLI::RequiredError& error) {
    const bool no_command = parser.app().get_subcommands().empty();
    return complaint(no_command ? command_words(command) : first_lower(error.what()), parser.app());
  } catch (const CLI::ConversionError&) {
    return complaint("a flag was given a value", parser.app());  // the library would repeat the value
  } catch (const CLI::Error& error) {
    return complaint(clean_foreign_text(first_lower(error.what())), parser.app());
  }
  return std::move(parser.invocation());
}

}  // namespace

std::variant<Invocation, Words> parse_arguments(int argc, const char* const* argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  const std::string command(wanted_command(words));
  std::vector<std::string> to_run;
  if (command == "exec") {
    // What follows is another program's and must not be looked at.
    const auto mark = std::find(words.begin(), words.end(), "--");
    if (mark != words.end()) to_run.assign(mark + 1, words.end());
    words.erase(mark, words.end());
  }
  Parser parser(command);
  auto parsed = run_parser(parser, std::move(words), command);
  auto* invocation = std::get_if<Invocation>(&parsed);
  if (invocation == nullptr) return parsed;
  if (auto* exec = std::get_if<ExecCommand>(&invocation->command)) {
    if (to_run.empty()) return complaint("write -- and the command to run", parser.app());
    exec->command = std::move(to_run);
  }
  return parsed;
}

}  // namespace credsync::cli
