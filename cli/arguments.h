// The command line as values. Pure; the parser's library stays in arguments.cc. No argument ever carries a
// secret, and complaints do not repeat stray words, since somebody may have put one there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ipc/names.h"

namespace credsync::cli {

enum class TokenFormat { kPlain, kJson, kHeader, kEnv };
enum class LoginMethod { kAsk, kRefreshTokenStdin, kTokenStdin, kPasswordStdin };
enum class Shell { kBash, kZsh, kFish };

struct TokenNeed {
  std::string account;
  std::optional<std::int64_t> min_valid;  // seconds
  std::int64_t wait = ipc::kDefaultWait;  // seconds
};

struct TokenCommand {
  TokenNeed need;
  TokenFormat format = TokenFormat::kPlain;
};
struct ExecCommand {
  TokenNeed need;
  std::string variable;              // empty: a file in memory
  std::vector<std::string> command;  // never empty
};
struct StatusCommand {
  std::string account;  // empty: all
  bool json = false;
  bool watch = false;
};
struct LoginCommand {
  std::string account;
  std::string username;
  LoginMethod method = LoginMethod::kAsk;
  bool no_browser = false;        // only show the address
  bool device = false;            // the device grant, whatever the account's is
  bool replace_identity = false;  // somebody else than before may sign in
  bool json = false;
  std::string browser_user;  // whose browser brings the answer: a name or a number; empty: by who calls
};
struct LogoutCommand {
  std::string account;
};
struct RefreshCommand {
  std::string account;
};
struct RejectCommand {
  std::string account;
  std::optional<std::int64_t> generation;  // absent: the refused token comes on standard input
};
// Whose configuration an account is written to; by default that of the daemon at the socket.
struct AccountPlace {
  bool system = false;
  bool user = false;
  std::string folder;
};
struct AccountListCommand {
  bool names = false;
};
struct AccountAddCommand {
  std::string account;
  AccountPlace place;
  std::string provider;
  std::string grant;
  std::string client_id;
  std::string username;
  std::string redirect_uri;
  std::vector<std::string> scopes;
  std::vector<std::string> vars;    // NAME=VALUE
  std::vector<std::string> params;  // NAME=VALUE
  std::vector<std::string> users;
  std::vector<std::string> groups;
  bool secret_stdin = false;
  bool no_secret = false;
  bool print = false;         // only show the file
  std::optional<bool> login;  // absent: ask
};
struct AccountRemoveCommand {
  std::string account;
  AccountPlace place;
  bool yes = false;
  bool sign_out = false;
};
struct WhoAmICommand {
  std::optional<std::int64_t> pid;
  bool json = false;
};
struct ProvidersCommand {
  std::string name;  // empty: all
  bool json = false;
};
struct LogCommand {
  std::string account;
  std::string since;  // RFC 3339
  bool follow = false;
  bool json = false;
};
struct ReloadCommand {};
struct DoctorCommand {};
struct CompletionCommand {
  Shell shell = Shell::kBash;
};

using Command = std::variant<TokenCommand, ExecCommand, StatusCommand, LoginCommand, LogoutCommand, RefreshCommand,
                             RejectCommand, AccountListCommand, AccountAddCommand, AccountRemoveCommand, WhoAmICommand,
                             ProvidersCommand, LogCommand, ReloadCommand, DoctorCommand, CompletionCommand>;

struct Invocation {
  std::string socket;  // --socket, or empty
  Command command;
};

// Nothing to run: help or version for standard output, or a complaint (with kUsage) for standard error.
struct Words {
  std::string text;
  ipc::ExitCode exit = ipc::ExitCode::kDone;
};

std::variant<Invocation, Words> parse_arguments(int argc, const char* const* argv);

}  // namespace credsync::cli
