// What a front door (Unix socket now, D-Bus beside it) asks of the daemon. daemon/handout implements it; ipc/ calls it.
// Loop only. Every call is decided anew on the caller's identity; a refusal and a missing account are the same Problem.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "base/unique_function.h"

namespace credsync::ipc {

class Process;  // ipc/process.h

inline constexpr gid_t kNoGroup = static_cast<gid_t>(-1);  // never a real one (chown(2))

// Who asks, as the kernel or the bus broker says. The pid is for the audit only. What could not be established is empty
// and matches no rule. Whoever decides asks `process` for unit and exe, at each decision and only if a rule names one;
// where there is none, what stands in `unit` and `exe` counts.
struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  pid_t pid = 0;
  std::string unit;                        // the system unit of the pinned process: score-sync.service
  std::string exe;                         // its executable now; only ever narrows
  bool manages = false;                    // polkit allows this caller org.credsync.manage, for this one call
  std::shared_ptr<const Process> process;  // held while anybody decides on it; may be null
};

enum class ProblemKind {
  kBadRequest,
  kNotAllowed,
  kNoSuchAccount,
  kNeedsLogin,
  kSuspended,
  kLoginInProgress,
  kLoginOver,
  kMethodNotAllowed,
  kTooLarge,
  kBusy,
  kUnavailable,
  kTimeout,
};

struct Problem {
  ProblemKind kind = ProblemKind::kBadRequest;
  std::string detail;     // plain words
  std::string next_step;  // a command that mends it; may be empty
  std::optional<Duration> retry_after;
  std::vector<std::string> problems;  // of a refused reload: file:line:column: …
  bool stopping = false;              // the daemon ends; the next one will answer
};

// One hand-out. Views live until the reply callback returns.
struct TokenView {
  std::string_view account;
  std::string_view access_token;
  std::string_view token_type;
  std::optional<WallTime> expires_at;
  std::optional<Duration> expires_in;  // from now
  const std::vector<std::string>* scope = nullptr;
  std::uint64_t generation = 0;
  bool min_valid_met = true;
  std::string_view state;  // "ok", "retrying", …
  std::string_view header_name;
  std::string_view header_prefix;  // the header's value is prefix + token
  const std::vector<std::pair<std::string, std::string>>* extra = nullptr;
  // One prebuilt rendering for the front door that keeps it here; emptied when the generation, state or profile changes.
  Secret* memo = nullptr;
};

struct TokenQuery {
  std::string_view account;
  Duration min_valid{0};
  Duration wait = 10s;  // 0: never waits
};

struct AccountStatus {
  std::string account, provider, grant, state;
  WallTime since;
  std::uint64_t generation = 0;
  bool usable = false;
  std::optional<WallTime> expires_at;
  std::optional<Duration> expires_in, lifetime;
  bool refreshable = false;
  bool refreshing = false;
  std::optional<WallTime> next_refresh, refresh_expires_at, last_used;
  std::vector<std::string> scope;
  struct Trouble {
    std::string error_class, message;
    WallTime at;
  };
  std::optional<Trouble> error;
  struct NextStep {
    std::string text, command;
  };  // command may be empty
  std::optional<NextStep> next_step;
  struct Retiring {
    unsigned pending = 0, unrevoked = 0;
    std::optional<WallTime> next;
  } retiring;
  std::vector<std::string> notes;
  std::vector<std::string> actions;  // what this caller may do
};

struct Rejected {  // of `reject`
  std::optional<std::uint64_t> generation;
  Secret access_token;  // used when there is no generation
};
struct RejectAnswer {
  std::string account;
  std::uint64_t generation = 0;
  std::optional<Duration> retry_after;
};

enum class LoginMethod { kAuto, kRefreshToken, kToken, kPassword, kBrowser, kDevice };
struct LoginRequest {
  LoginMethod method = LoginMethod::kAuto;
  Secret secret;
  std::string username;
  std::optional<uid_t> browser_user;  // whose browser may bring the answer; only root names another than itself
  bool replace_identity = false;      // somebody else than before may sign in
};

enum class LoginPhase { kWaiting, kFinishing, kDone, kFailed, kCancelled };

// A sign-in session: what the person who began it is shown. `url` and the codes are for that person only.
struct LoginView {
  std::string id;  // 128 random bits, hexadecimal
  std::string account, provider, provider_title, client_id, grant;
  std::string method;  // "browser" or "device"
  LoginPhase phase = LoginPhase::kWaiting;
  std::vector<std::string> scopes;  // asked for
  std::string url;                  // to open in a browser
  // From now on it is good for so long, where the provider says so: it is to be opened in time, not finished (RFC 9126, 2.2).
  std::optional<Duration> url_expires_in;
  std::string redirect_uri;
  bool listening = false;  // a browser on this machine can come back by itself; else the address must be pasted
  std::string user_code, verification_uri, verification_uri_complete;  // RFC 8628, 3.2
  WallTime expires_at;
  Duration expires_in{0};
  // Once done.
  std::uint64_t generation = 0;
  std::vector<std::string> granted, missing;  // missing: asked for, not given
  std::string identity;                       // who signed in, where the provider says; cleaned
  std::string error_class;                    // why it failed: "access_denied", "redirect_uri", …
  std::optional<Problem> problem;             // the same in words
};
// What needs nobody is finished at once; what needs a person goes on as a session.
using LoginAnswer = std::variant<AccountStatus, LoginView>;

struct SignOutAnswer {
  std::string account;
  unsigned pending = 0;
};

struct WhoAmI {
  struct Rule {
    std::string rule;
    bool matches = false;
    std::string why;
  };
  struct Account {
    std::string account;
    std::vector<std::string> actions;
    std::vector<Rule> rules;
  };
  Caller caller;                  // with `unit` and `exe` as they are now
  std::string user;               // for people; empty if unknown
  std::string unit_why, exe_why;  // why they are not established
  std::vector<std::pair<gid_t, std::string>> groups;
  std::vector<Account> accounts;  // only those the caller may know of
};

struct ProviderSummary {
  std::string id, title, docs, file;
  std::vector<std::string> grants;
};
struct ProviderDetail {
  std::string id, title, docs;
  struct Fact {
    std::string key, value, file;
    unsigned line = 0;
    std::string source;
  };
  std::vector<Fact> facts;
};

struct ReloadAnswer {
  std::vector<std::string> changed, added, removed, warnings;
};

struct Check {
  std::string name, result /* ok, warning, failed */, detail, next_step;
};

struct AuditRecord {
  WallTime at;
  std::string action, decision, account;
  std::uint64_t generation = 0;
  std::optional<uid_t> uid;  // none: the daemon by itself
  pid_t pid = 0;
  std::string rule, detail;
  std::string unit, exe;    // empty: not established, or not looked at
  std::uint64_t count = 1;  // how often since the last such record
};

struct Event {
  enum class Kind { kToken, kState } kind = Kind::kState;
  std::string account, state;
  WallTime since;
  std::uint64_t generation = 0;
  std::optional<WallTime> expires_at;
};

// A part of all accounts that a caller may see, so that ten thousand do not hold everybody else.
struct AccountList {
  std::vector<AccountStatus> accounts;  // by their names
  std::string last;                     // the next part comes behind this name; empty: that was all
};

template <typename T>
using Answer = std::variant<T, Problem>;
template <typename T>
using Reply = UniqueFunction<void(Answer<T>)>;

// Something under way for a caller. Destroying it ends the caller's part in it: the reply will not come.
class Pending {
 public:
  virtual ~Pending() = default;
};

class Service {
 public:
  virtual ~Service() = default;

  // The reply may come before the call returns; then the result is null.
  virtual std::unique_ptr<Pending> token(const Caller&, const TokenQuery&, Reply<TokenView>) = 0;
  virtual std::unique_ptr<Pending> refresh(const Caller&, std::string_view account, Reply<AccountStatus>) = 0;
  virtual std::unique_ptr<Pending> reject(const Caller&, std::string_view account, Rejected, Reply<RejectAnswer>) = 0;
  virtual std::unique_ptr<Pending> login(const Caller&, std::string_view account, LoginRequest, Reply<LoginAnswer>) = 0;
  // Sessions belong to the user who began them; for everybody else they do not exist. `wait` ends early once the
  // session has ended. An address that is no answer to the session is a bad request, and the session goes on.
  virtual std::unique_ptr<Pending> wait_login(const Caller&, std::string_view id, Duration wait, Reply<LoginView>) = 0;
  virtual std::unique_ptr<Pending> answer_login(const Caller&, std::string_view id, Secret redirect_url,
                                                Reply<LoginView>) = 0;
  virtual Answer<LoginView> cancel_login(const Caller&, std::string_view id) = 0;
  virtual std::unique_ptr<Pending> sign_out(const Caller&, std::string_view account, Reply<SignOutAnswer>) = 0;

  virtual Answer<AccountStatus> status(const Caller&, std::string_view account) = 0;
  // Those behind that name; "": from the first on.
  virtual AccountList list(const Caller&, std::string_view behind) = 0;
  // Of the caller; or of another process, which its own user and administrators may ask for.
  virtual Answer<WhoAmI> who_am_i(const Caller&, std::optional<pid_t> of) = 0;
  virtual std::vector<ProviderSummary> providers(const Caller&) = 0;
  virtual Answer<ProviderDetail> provider(const Caller&, std::string_view id) = 0;
  // Takes as long as its files take to be read; goes on without the caller.
  virtual std::unique_ptr<Pending> reload(const Caller&, Reply<ReloadAnswer>) = 0;
  // Takes seconds: providers are looked at.
  virtual std::unique_ptr<Pending> doctor(const Caller&, Reply<std::vector<Check>>) = 0;
  virtual Answer<std::vector<AuditRecord>> audit(const Caller&, std::optional<WallTime> since) = 0;
  virtual Answer<std::string> metrics(const Caller&) = 0;  // OpenMetrics text

  // `account` empty: all that the caller may see. First come the present states, before the call returns. Access is
  // decided anew for each event.
  virtual Answer<std::unique_ptr<Pending>> subscribe(const Caller&, std::string_view account,
                                                     std::function<void(const Event&)> on_event) = 0;
  // For the front door's own refusals (busy, over a limit): audited, never blocking.
  virtual void refused(const Caller&, std::string_view why) = 0;
};

}  // namespace credsync::ipc
