// What the daemon answers, as plain values (docs/http-api.yaml is the contract). Texts in here are already
// cleaned of control, escape and bidirectional characters; only Secret members hold the bytes as they came.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "base/time.h"

namespace credsync::cli {

struct NextStep {
  std::string text;
  std::string command;  // empty when no command mends it
};

struct LastError {
  std::string error_class;
  std::string message;
  std::optional<WallTime> at;
};

struct Retiring {
  std::int64_t pending = 0;    // still to be revoked or erased
  std::int64_t unrevoked = 0;  // erased without the provider's confirmation
  std::optional<WallTime> next;
};

struct AccountStatus {
  std::string account;
  std::string provider;
  std::string grant;
  std::string state;
  std::optional<WallTime> since;
  std::int64_t generation = 0;  // 0: never had a token
  bool usable = false;
  std::optional<WallTime> expires_at;
  std::optional<std::int64_t> expires_in;  // seconds, when the answer was made
  std::optional<std::int64_t> lifetime;    // seconds
  bool refreshable = false;
  bool refreshing = false;
  std::optional<WallTime> next_refresh;
  std::optional<WallTime> refresh_expires_at;
  std::vector<std::string> scope;
  std::optional<WallTime> last_used;
  std::optional<LastError> error;
  std::optional<NextStep> next_step;
  Retiring retiring;
  std::vector<std::string> notes;
  std::vector<std::string> actions;
};

struct TokenAnswer {
  Secret access_token;
  std::string header_name;
  Secret header_value;
  std::optional<std::int64_t> expires_in;
  bool min_valid_met = true;
  std::string state;
};

struct Problem {
  std::string name;  // "needs-login"; empty when the answer was no problem document
  std::string detail;
  std::string next_step;
  std::vector<std::string> problems;  // of a refused configuration
  bool stopping = false;              // nothing was done; the daemon that comes next can be asked
};

struct Rule {
  std::string name;
  bool matches = false;
  std::string why;
};

struct AccountRights {
  std::string account;
  std::vector<std::string> actions;
  std::vector<Rule> rules;
};

struct WhoAmI {
  std::int64_t uid = 0;
  std::string user;
  std::int64_t gid = 0;
  std::vector<std::string> groups;  // "name (gid)" or "gid"
  std::int64_t pid = 0;
  std::string unit;      // of systemd; empty: none, or not established
  std::string unit_why;  // then: why not
  std::string exe;
  std::string exe_why;
  std::vector<AccountRights> accounts;
};

struct ProviderSummary {
  std::string id;
  std::string title;
  std::string docs;
  std::vector<std::string> grants;
  std::string file;
};

struct ProviderFact {
  std::string key;
  std::string value;
  std::string place;   // file:line
  std::string source;  // where the author of the profile read it
};

struct ProviderDetails {
  std::string id;
  std::string title;
  std::string docs;
  std::vector<ProviderFact> facts;
};

struct ReloadReport {
  std::vector<std::string> changed;
  std::vector<std::string> added;
  std::vector<std::string> removed;
  std::vector<std::string> warnings;
};

enum class CheckResult { kOk, kWarning, kFailed };

struct DoctorCheck {
  std::string name;
  CheckResult result = CheckResult::kOk;
  std::string detail;
  std::string next_step;
};

struct AuditRecord {
  std::optional<WallTime> at;
  std::string action;
  std::string decision;
  std::string account;
  std::optional<std::int64_t> generation;
  std::optional<std::int64_t> uid;  // absent: the daemon by itself
  std::optional<std::int64_t> pid;
  std::string unit;
  std::string exe;
  std::string rule;
  std::int64_t count = 1;  // how often since the last such record
  std::string detail;
};

struct LoginError {
  std::string name;         // of a problem: "unavailable"
  std::string error_class;  // what went wrong, finer than the name: "access_denied"
  std::string detail;
  std::string next_step;
};

// A sign-in session. Addresses are whole and can be opened: http or https, visible ASCII, else empty.
struct LoginView {
  std::string id;
  std::string account;
  std::string provider;
  std::string provider_title;
  std::string client_id;
  std::string grant;
  std::string method;  // "browser" or "device"
  std::string phase;
  std::vector<std::string> scopes;  // asked for
  std::string url;
  std::optional<std::int64_t> url_expires_in;  // seconds, when the answer was made
  std::string redirect_uri;
  bool listening = false;  // a browser on this machine comes back by itself
  std::string user_code;
  std::string verification_uri;
  std::string verification_uri_complete;
  std::int64_t expires_in = 0;  // seconds, when the answer was made
  std::int64_t generation = 0;
  std::vector<std::string> granted;
  std::vector<std::string> missing;  // asked for, not given
  std::string identity;
  std::optional<LoginError> error;
};

struct SignedOut {
  std::string account;
  std::int64_t pending = 0;
};

struct Rejected {
  std::string account;
  std::int64_t generation = 0;
};

// The data of one server-sent event.
struct Change {
  std::string account;
  std::string state;  // empty in a token event
  std::int64_t generation = 0;
  std::optional<WallTime> since;
  std::optional<WallTime> expires_at;
};

}  // namespace credsync::cli
