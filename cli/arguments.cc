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

// CLI11's checks: an empty answer means the value is good.
std::string check_account(const std::string& name) {
  return is_account_name(name) ? "" : "an account is named with a-z, 0-9, '.', '_' and '-', 64 at most";
}

std::string check_variable(const std::string& name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const bool good = !name.empty() && letter(name.front()) &&
                    std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
  return good ? "" : "not the name of an environment variable";
}

std::string check_duration(const std::string& text) {
  return parse_seconds(text) ? "" : "a duration is written as 90s, 10m, 12h, 30d or in seconds";
}

// Digits, and a letter perhaps: meant as a duration, whatever its size.
bool looks_like_duration(std::string_view text) {
  if (!text.empty() && std::string_view("smhd").find(text.back()) != std::string_view::npos) text.remove_suffix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string check_min_valid(const std::string& text) {
  constexpr std::int64_t kMost = std::int64_t{365} * 24 * 3600;  // as the daemon takes it
  const auto seconds = parse_seconds(text);
  const bool too_long = seconds ? *seconds > kMost : looks_like_duration(text);
  return too_long ? "at most 365d" : check_duration(text);
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
  return parse_rfc3339(text) || parse_seconds(text) ? "" : "a duration as 12h, or a time as 2026-01-31T12:00:00Z";
}

std::string check_folder(const std::string& path) {
  return path.starts_with('/') ? "" : "an absolute path";
}

std::string check_grant(const std::string& grant) {
  constexpr std::array<std::string_view, 7> kGrants{"authorization_code", "implicit",      "device_code", "password",
                                                    "client_credentials", "refresh_token", "static"};
  if (std::find(kGrants.begin(), kGrants.end(), grant) != kGrants.end()) return {};
  std::string all;
  for (const std::string_view known : kGrants)
    all.append(all.empty() ? "one of " : ", ").append(known);
  return all;
}

// A duration means that long ago.
std::string moment_of(const std::string& text) {
  if (const auto moment = parse_rfc3339(text)) return to_rfc3339(*moment);
  const auto ago = std::chrono::seconds(parse_seconds(text).value_or(0));
  return to_rfc3339(saturating_add(SystemClock().wall(), -ago));
}

template <typename Value, std::size_t N>
using Choices = std::array<std::pair<const char*, Value>, N>;

class Parser {
 public:
  // Only the wanted command gets its options: building all of them costs more than asking the daemon. `below` is the word
  // after it.
  Parser(std::string_view wanted, std::string_view below);

  CLI::App& app() { return app_; }
  Invocation& invocation() { return invocation_; }

  void token(CLI::App& sub);
  void exec(CLI::App& sub);
  void status(CLI::App& sub);
  void login(CLI::App& sub);
  void logout(CLI::App& sub) { account(sub, begin<LogoutCommand>().account); }
  void refresh(CLI::App& sub) { account(sub, begin<RefreshCommand>().account); }
  void reject(CLI::App& sub);
  void accounts(CLI::App& sub);
  void account_list(CLI::App& sub);
  void account_add(CLI::App& sub);
  void account_remove(CLI::App& sub);
  void whoami(CLI::App& sub);
  void providers(CLI::App& sub);
  void log(CLI::App& sub);
  void reload(CLI::App&) { begin<ReloadCommand>(); }
  void doctor(CLI::App&) { begin<DoctorCommand>(); }
  void completion(CLI::App& sub);

 private:
  template <typename T>
  T& begin() {
    return invocation_.command.emplace<T>();
  }

  void account(CLI::App& sub, std::string& name, bool required = true) {
    sub.add_option("ACCOUNT", name, "the account's name")->required(required)->check(check_account)->type_name("");
  }
  void json(CLI::App& sub, bool& value) { sub.add_flag("--json", value, "the daemon's answer as JSON"); }
  void need(CLI::App& sub, TokenNeed& need);
  void number(CLI::App& sub, const char* name, std::optional<std::int64_t>& value, const char* what);
  template <typename Value, std::size_t N>
  CLI::Option* choice(CLI::App& sub, const char* name, Value& value, const Choices<Value, N>& words, const char* what);

  void place(CLI::App& sub, AccountPlace& place);
  void list(CLI::App& sub, const char* name, std::vector<std::string>& values, const char* what, const char* type);

  CLI::App app_;
  std::string_view below_;
  Invocation invocation_;
};

struct Named {
  std::string_view name;
  const char* what;
  void (Parser::*configure)(CLI::App&);
};
constexpr std::array kCommands{
    Named{"token", "print an access token that is good for as long as you ask", &Parser::token},
    Named{"exec", "run a command that finds a token in a file in memory", &Parser::exec},
    Named{"status", "how the accounts are, and what to do where something is wrong", &Parser::status},
    Named{"login", "sign an account in", &Parser::login},
    Named{"logout", "sign an account out: revoke what can be revoked, then forget it", &Parser::logout},
    Named{"refresh", "refresh an account's token now", &Parser::refresh},
    Named{"reject", "say that the API refused a token", &Parser::reject},
    Named{"account", "add, remove and list accounts of the configuration", &Parser::accounts},
    Named{"whoami", "how the daemon sees you, and what you may do", &Parser::whoami},
    Named{"providers", "the catalogue of providers, or one of them in full", &Parser::providers},
    Named{"log", "who got what: the audit records", &Parser::log},
    Named{"reload", "make the daemon read its configuration again", &Parser::reload},
    Named{"doctor", "look for what is wrong, and say what mends it", &Parser::doctor},
    Named{"completion", "print a completion script for a shell", &Parser::completion}};

constexpr std::array kAccountCommands{
    Named{"add", "write an account's file, and have the daemon take it", &Parser::account_add},
    Named{"remove", "remove an account's file, and have the daemon forget it", &Parser::account_remove},
    Named{"list", "the accounts that you may see", &Parser::account_list}};

Parser::Parser(std::string_view wanted, std::string_view below) : below_(below) {
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
    if (command.name == wanted) (this->*command.configure)(*sub);
  }
}

void Parser::need(CLI::App& sub, TokenNeed& need) {
  account(sub, need.account);
  const auto set_min_valid = [&need](const std::string& text) { need.min_valid = parse_seconds(text).value_or(0); };
  sub.add_option_function<std::string>("--min-valid", set_min_valid,
                                       "how long the token must be good at least (at most 365d)")
      ->check(check_min_valid)
      ->type_name("DURATION");
  const auto set_wait = [&need](const std::string& text) { need.wait = parse_seconds(text).value_or(0); };
  sub.add_option_function<std::string>("--wait", set_wait, "how long to wait for a refresh (default 10s, at most 60s)")
      ->check(check_wait)
      ->type_name("DURATION");
}

// Counts and ids.
void Parser::number(CLI::App& sub, const char* name, std::optional<std::int64_t>& value, const char* what) {
  const auto set = [&value](const std::string& text) { value = whole_number(text); };
  sub.add_option_function<std::string>(name, set, what)->check(check_whole_number)->type_name("N");
}

// A positional or an option that takes one of a few words.
template <typename Value, std::size_t N>
CLI::Option* Parser::choice(CLI::App& sub, const char* name, Value& value, const Choices<Value, N>& words,
                            const char* what) {
  std::string all;
  for (const auto& word : words)
    all += (all.empty() ? "" : "|") + std::string(word.first);
  const auto find = [words](const std::string& text) -> std::optional<Value> {
    for (const auto& word : words) {
      if (text == word.first) return word.second;
    }
    return std::nullopt;
  };
  const auto check = [find, all](const std::string& text) { return find(text) ? std::string() : "one of " + all; };
  const auto set = [find, &value](const std::string& text) { value = find(text).value_or(value); };
  return sub.add_option_function<std::string>(name, set, what)->check(check)->type_name(all);
}

void Parser::token(CLI::App& sub) {
  constexpr Choices<TokenFormat, 4> kFormats{{{"plain", TokenFormat::kPlain},
                                              {"json", TokenFormat::kJson},
                                              {"header", TokenFormat::kHeader},
                                              {"env", TokenFormat::kEnv}}};
  auto& token = begin<TokenCommand>();
  need(sub, token.need);
  choice(sub, "--format", token.format, kFormats, "how to print it (default plain)");
}

void Parser::exec(CLI::App& sub) {
  auto& exec = begin<ExecCommand>();
  need(sub, exec.need);
  sub.add_option("--env", exec.variable, "put the token into this environment variable; leakier than a file in memory")
      ->check(check_variable)
      ->type_name("NAME");
  sub.footer("Then -- and the command: credsync exec ACCOUNT -- COMMAND ...");
}

void Parser::status(CLI::App& sub) {
  auto& status = begin<StatusCommand>();
  account(sub, status.account, false);
  json(sub, status.json);
  sub.add_flag("--watch", status.watch, "stay and show changes as they come");
}

void Parser::login(CLI::App& sub) {
  auto& login = begin<LoginCommand>();
  account(sub, login.account);
  const auto method = [&](const char* name, LoginMethod value, const char* what) {
    return sub.add_flag_callback(
        name, [&login, value] { login.method = value; }, what);
  };
  CLI::Option* refresh =
      method("--refresh-token-stdin", LoginMethod::kRefreshTokenStdin, "import a refresh token from standard input");
  CLI::Option* token = method("--token-stdin", LoginMethod::kTokenStdin, "import an access token from standard input");
  CLI::Option* password =
      method("--password-stdin", LoginMethod::kPasswordStdin, "take the password from standard input");
  refresh->excludes(token)->excludes(password);
  token->excludes(password);
  sub.add_option("--username", login.username, "whose password it is, where the configuration does not say")
      ->type_name("NAME");
  CLI::Option* no_browser = sub.add_flag("--no-browser", login.no_browser, "open no browser, only show the address");
  CLI::Option* device =
      sub.add_flag("--device", login.device, "sign in on another device, with a code (where the provider can)");
  for (CLI::Option* interactive : {no_browser, device}) {
    for (CLI::Option* secret : {refresh, token, password})
      interactive->excludes(secret);
  }
  sub.add_option("--browser-user", login.browser_user,
                 "whose browser may bring the answer (root only; default: who called sudo)")
      ->type_name("USER");
  sub.add_flag("--replace-identity", login.replace_identity, "let somebody else than before sign in");
  sub.add_flag("--json", login.json, "for programs: the session as JSON, a line when it begins and one when it ends");
}

void Parser::reject(CLI::App& sub) {
  auto& reject = begin<RejectCommand>();
  account(sub, reject.account);
  number(sub, "--generation", reject.generation,
         "the refused token's generation; else the token is read from standard input");
}

void Parser::accounts(CLI::App& sub) {
  sub.require_subcommand(1);
  for (const Named& command : kAccountCommands) {
    CLI::App* one = sub.add_subcommand(std::string(command.name), command.what);
    one->fallthrough();
    if (command.name == below_) (this->*command.configure)(*one);
  }
}

void Parser::account_list(CLI::App& sub) {
  sub.add_flag("--names", begin<AccountListCommand>().names, "only their names, one a line");
}

void Parser::place(CLI::App& sub, AccountPlace& place) {
  CLI::Option* system = sub.add_flag("--system", place.system, "the system's configuration, /etc/credsyncd");
  CLI::Option* user = sub.add_flag("--user", place.user, "your own, ~/.config/credsyncd");
  CLI::Option* folder = sub.add_option("--config", place.folder, "the folder that the daemon was started with")
                            ->check(check_folder)
                            ->type_name("DIR");
  system->excludes(user)->excludes(folder);
  user->excludes(folder);
}

// An option that may be given several times, one value each.
void Parser::list(CLI::App& sub, const char* name, std::vector<std::string>& values, const char* what,
                  const char* type) {
  sub.add_option(name, values, what)
      ->expected(1)
      ->allow_extra_args(false)
      ->type_name(type)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void Parser::account_add(CLI::App& sub) {
  auto& add = begin<AccountAddCommand>();
  account(sub, add.account);
  sub.add_option("--provider", add.provider, "a provider's id (credsync providers)")
      ->check(check_account)
      ->type_name("ID");
  sub.add_option("--grant", add.grant, "how it gets its tokens, such as authorization_code")
      ->check(check_grant)
      ->type_name("GRANT");
  sub.add_option("--client-id", add.client_id, "the client's id at the provider")->type_name("ID");
  CLI::Option* secret =
      sub.add_flag("--client-secret-stdin", add.secret_stdin, "the client's secret from standard input");
  sub.add_flag("--no-client-secret", add.no_secret, "a public client, which has none")->excludes(secret);
  sub.add_option("--username", add.username, "whose password it is, with the grant password")->type_name("NAME");
  list(sub, "--scope", add.scopes, "what to ask for; several times, or separated by blanks", "SCOPE");
  list(sub, "--var", add.vars, "a variable of the provider's addresses; several times", "NAME=VALUE");
  list(sub, "--param", add.params, "a further parameter of the authorization request; several times", "NAME=VALUE");
  sub.add_option("--redirect-uri", add.redirect_uri, "as it is registered at the provider")->type_name("URI");
  list(sub, "--allow-user", add.users, "who may use it and sign it in, 'me' for yourself; several times", "NAME");
  list(sub, "--allow-group", add.groups, "whose members may fetch its token; several times", "NAME");
  place(sub, add.place);
  CLI::Option* print = sub.add_flag("--print", add.print, "only show the file, and write nothing");
  CLI::Option* login = sub.add_flag_callback(
      "--login", [&add] { add.login = true; }, "sign in then, without asking");
  sub.add_flag_callback(
         "--no-login", [&add] { add.login = false; }, "do not sign in then")
      ->excludes(login);
  print->excludes(login)->excludes(secret);
}

void Parser::account_remove(CLI::App& sub) {
  auto& remove = begin<AccountRemoveCommand>();
  account(sub, remove.account);
  sub.add_flag("--sign-out", remove.sign_out, "sign it out first: revoke its tokens at the provider");
  sub.add_flag("--yes", remove.yes, "do not ask");
  place(sub, remove.place);
}

void Parser::whoami(CLI::App& sub) {
  auto& whoami = begin<WhoAmICommand>();
  number(sub, "--pid", whoami.pid, "ask for that process (another user's needs the admin action)");
  json(sub, whoami.json);
}

void Parser::providers(CLI::App& sub) {
  auto& providers = begin<ProvidersCommand>();
  sub.add_option("NAME", providers.name, "a provider's id")->check(check_account)->type_name("");
  json(sub, providers.json);
}

void Parser::log(CLI::App& sub) {
  auto& log = begin<LogCommand>();
  log.since = moment_of("24h");
  account(sub, log.account, false);
  // The first records that come then are those from now on, unless --since says otherwise.
  sub.parse_complete_callback([&log, &sub] {
    if (log.follow && sub.count("--since") == 0) log.since = moment_of("0");
  });
  sub.add_flag("--follow", log.follow, "stay and show records as they come");
  const auto set = [&log](const std::string& text) { log.since = moment_of(text); };
  sub.add_option_function<std::string>("--since", set, "from when on: 12h (ago), 2026-01-31T12:00:00Z (default 24h)")
      ->check(check_since)
      ->type_name("WHEN");
  json(sub, log.json);
}

void Parser::completion(CLI::App& sub) {
  constexpr Choices<Shell, 3> kShells{{{"bash", Shell::kBash}, {"zsh", Shell::kZsh}, {"fish", Shell::kFish}}};
  choice(sub, "SHELL", begin<CompletionCommand>().shell, kShells, "the shell")->required();
}

// The first words that are no options: the command, and what stands below it.
std::array<std::string_view, 2> wanted_command(const std::vector<std::string>& words) {
  std::array<std::string_view, 2> wanted;
  std::size_t found = 0;
  for (std::size_t i = 0; i < words.size() && found < wanted.size(); ++i) {
    if (words[i] == "--socket")
      ++i;
    else if (!words[i].starts_with('-'))
      wanted[found++] = words[i];
  }
  return wanted;
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
  if (command == "exec") return "write -- before the command to run: credsync exec ACCOUNT -- COMMAND";
  if (!app.get_subcommands().empty()) return "more arguments than '" + std::string(command) + "' takes";
  return "there is no such command";
}

template <std::size_t N>
std::string command_words(std::string_view command, const std::array<Named, N>& known, const std::string& before) {
  std::array<std::string_view, N> names;
  std::transform(known.begin(), known.end(), names.begin(), [](const Named& c) { return c.name; });
  if (command.empty()) return "say what to do: " + before + " COMMAND";
  std::string words =
      may_be_shown(command) ? "there is no command '" + std::string(command) + "'" : "there is no such command";
  const std::string_view near = nearest_word(command, names);
  if (!near.empty()) return words + ", did you mean '" + std::string(near) + "'?";
  constexpr std::size_t kFew = 5;  // more are for --help to list
  for (std::size_t i = 0; N <= kFew && i < N; ++i)
    words.append(i == 0 ? ": there are " : ", ").append(names[i]);
  return words;
}

Words complaint(const std::string& text, const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  std::string help = "credsync";
  for (auto below = chosen; !below.empty(); below = below.front()->get_subcommands())
    help += " " + below.front()->get_name();
  return {"credsync: " + text + "\nTry: " + help + " --help\n", ipc::ExitCode::kUsage};
}

std::string first_lower(std::string text) {
  // "ACCOUNT is required" stays; "The following …" and "Could not …" are sentences of the library.
  const bool sentence = text.size() > 1 && text[1] >= 'a' && text[1] <= 'z';
  if (sentence && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

std::variant<Invocation, Words> run_parser(Parser& parser, std::vector<std::string> words, std::string_view command,
                                           std::string_view below) {
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
    if (no_command) return complaint(command_words(command, kCommands, "credsync"), parser.app());
    if (command == "account" && parser.app().get_subcommands().front()->get_subcommands().empty())
      return complaint(command_words(below, kAccountCommands, "credsync account"), parser.app());
    return complaint(first_lower(error.what()), parser.app());
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
  const auto wanted = wanted_command(words);
  const std::string command(wanted[0]), below(wanted[1]);
  std::vector<std::string> to_run;
  if (command == "exec") {
    // What follows is another program's and must not be looked at.
    const auto mark = std::find(words.begin(), words.end(), "--");
    if (mark != words.end()) to_run.assign(mark + 1, words.end());
    words.erase(mark, words.end());
  }
  Parser parser(command, below);
  auto parsed = run_parser(parser, std::move(words), command, below);
  auto* invocation = std::get_if<Invocation>(&parsed);
  if (invocation == nullptr) return parsed;
  if (auto* exec = std::get_if<ExecCommand>(&invocation->command)) {
    if (to_run.empty()) return complaint("write -- and the command to run", parser.app());
    exec->command = std::move(to_run);
  }
  return parsed;
}

}  // namespace credsync::cli
