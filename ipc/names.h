// The names on the wire, said once for the daemon and for the `credsync` command: where the socket is, paths,
// problems with their HTTP status and exit code, actions, states, events. Constants only, no dependencies.
#pragma once

#include <array>
#include <string_view>

namespace credsync::ipc {

// Sockets. The user's is below $XDG_RUNTIME_DIR.
inline constexpr std::string_view kSystemSocket = "/run/credsyncd-api/api.sock";
inline constexpr std::string_view kUserSocketInRuntimeDir = "credsyncd/api.sock";

// Environment of the command.
inline constexpr std::string_view kSocketVariable = "CREDSYNC_SOCKET";
inline constexpr std::string_view kTokenVariable = "CREDSYNC_TOKEN";
inline constexpr std::string_view kTokenFileVariable = "CREDSYNC_TOKEN_FILE";

// Paths. What belongs to one account is kAccountsPath + "/" + NAME + one of the kAccount… endings.
inline constexpr std::string_view kAccountsPath = "/v1/accounts";
inline constexpr std::string_view kAccountToken = "/token";
inline constexpr std::string_view kAccountReject = "/reject";
inline constexpr std::string_view kAccountRefresh = "/refresh";
inline constexpr std::string_view kAccountLogin = "/login";
inline constexpr std::string_view kAccountGrant = "/grant";
inline constexpr std::string_view kEventsPath = "/v1/events";
inline constexpr std::string_view kWhoAmIPath = "/v1/whoami";
inline constexpr std::string_view kLoginsPath = "/v1/logins";  // + "/" + id, + kLoginAnswer
inline constexpr std::string_view kLoginAnswer = "/answer";
inline constexpr std::string_view kAuditPath = "/v1/audit";
inline constexpr std::string_view kReloadPath = "/v1/reload";
inline constexpr std::string_view kHealthPath = "/v1/health";
inline constexpr std::string_view kProvidersPath = "/v1/providers";
inline constexpr std::string_view kDoctorPath = "/v1/doctor";
inline constexpr std::string_view kMetricsPath = "/metrics";

inline constexpr std::string_view kJsonType = "application/json";
inline constexpr std::string_view kProblemType = "application/problem+json";
inline constexpr std::string_view kEventStreamType = "text/event-stream";

// Waits of GET …/token, in seconds.
inline constexpr int kDefaultWait = 10;
inline constexpr int kLongestWait = 60;

// States that people see.
inline constexpr std::string_view kStateOk = "ok";
inline constexpr std::string_view kStateRetrying = "retrying";
inline constexpr std::string_view kStateNeedsLogin = "needs-login";
inline constexpr std::string_view kStateSuspended = "suspended";
inline constexpr std::string_view kStateSignedOut = "signed-out";

// Actions that a rule allows.
inline constexpr std::string_view kActionGet = "get";
inline constexpr std::string_view kActionWatch = "watch";
inline constexpr std::string_view kActionRefresh = "refresh";
inline constexpr std::string_view kActionLogin = "login";
inline constexpr std::string_view kActionAdmin = "admin";

// Methods of POST …/login.
inline constexpr std::string_view kLoginRefreshToken = "refresh_token";
inline constexpr std::string_view kLoginToken = "token";
inline constexpr std::string_view kLoginPassword = "password";
inline constexpr std::string_view kLoginAuto = "auto";
inline constexpr std::string_view kLoginBrowser = "browser";
inline constexpr std::string_view kLoginDevice = "device";

// Phases of a sign-in session.
inline constexpr std::string_view kPhaseWaiting = "waiting";      // for the person
inline constexpr std::string_view kPhaseFinishing = "finishing";  // the person is done, the provider is asked
inline constexpr std::string_view kPhaseDone = "done";
inline constexpr std::string_view kPhaseFailed = "failed";
inline constexpr std::string_view kPhaseCancelled = "cancelled";

// Server-sent events.
inline constexpr std::string_view kEventToken = "token";
inline constexpr std::string_view kEventState = "state";

// How `credsync` exits.
enum class ExitCode {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kNeedsLogin = 3,
  kNotAllowed = 4,   // or no such account: the two are not told apart
  kTemporary = 5,    // unavailable now, trying again can help
  kUnreachable = 6,  // the daemon cannot be reached
  kSuspended = 7,    // the admin must mend config or client
};

// Problem documents (RFC 9457): `type` is kProblemPrefix + name.
inline constexpr std::string_view kProblemPrefix = "urn:credsync:error:";

struct ProblemName {
  std::string_view name;
  int status;
  ExitCode exit_code;
};

inline constexpr ProblemName kBadRequest{"bad-request", 400, ExitCode::kFailed};
inline constexpr ProblemName kNotAllowed{"not-allowed", 403, ExitCode::kNotAllowed};
inline constexpr ProblemName kNoSuchAccount{"no-such-account", 404, ExitCode::kNotAllowed};
inline constexpr ProblemName kMethodNotAllowed{"method-not-allowed", 405, ExitCode::kFailed};
inline constexpr ProblemName kNeedsLogin{"needs-login", 409, ExitCode::kNeedsLogin};
inline constexpr ProblemName kSuspended{"suspended", 409, ExitCode::kSuspended};
inline constexpr ProblemName kLoginInProgress{"login-in-progress", 409, ExitCode::kTemporary};
inline constexpr ProblemName kLoginOver{"login-over", 410, ExitCode::kFailed};
inline constexpr ProblemName kTooLarge{"too-large", 413, ExitCode::kFailed};
inline constexpr ProblemName kBusy{"busy", 429, ExitCode::kTemporary};
inline constexpr ProblemName kUnavailable{"unavailable", 503, ExitCode::kTemporary};
inline constexpr ProblemName kTimeout{"timeout", 504, ExitCode::kTemporary};

inline constexpr std::array kProblems{kBadRequest, kNotAllowed, kNoSuchAccount,   kMethodNotAllowed,
                                      kNeedsLogin, kSuspended,  kLoginInProgress, kLoginOver,
                                      kTooLarge,   kBusy,       kUnavailable,     kTimeout};

}  // namespace credsync::ipc
