// The configuration as plain structs: what credsyncd.toml(5) can say, checked. Immutable once loaded.
#pragma once

#include <sys/types.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "daemon/provider/profile.h"

namespace credsync::config {

// Where something was written, for messages: file:line:column.
struct Place {
  std::string file;
  unsigned line = 0;
  unsigned column = 0;
};

// Where an account was written. The name is shared by all that came from the file.
struct Origin {
  std::shared_ptr<const std::string> file;
  unsigned line = 0;
};

// Of a keyless 128-bit hash: long enough that two configurations of one account never meet by chance.
using Fingerprint = std::array<unsigned char, 16>;

// Where a secret is read from, each time it is needed. config/secret_source.h reads it.
struct SecretSource {
  enum class Kind { kNone, kFile, kCredential, kCommand };
  Kind kind = Kind::kNone;
  std::string path;                  // file (absolute after loading) or the credential's name
  std::vector<std::string> command;  // an absolute path and its arguments
  bool present() const { return kind != Kind::kNone; }
  friend bool operator==(const SecretSource&, const SecretSource&) = default;
};

enum class Action : unsigned { kGet = 1, kWatch = 2, kRefresh = 4, kLogin = 8, kAdmin = 16 };
using Actions = unsigned;  // a set of Action; kWatch is implied by any other, and the loader adds it

// Rules are or-ed, the keys inside one and-ed. User, group and system unit are boundaries; exe only narrows, so a rule
// with none of the three is a config error.
struct AllowRule {
  std::string label;  // "account.flat-me.allow[0]", for explanations
  std::optional<uid_t> user;
  std::string user_name;  // as written
  std::optional<gid_t> group;
  std::string group_name;
  std::string unit;  // a system unit: score-sync.service
  std::string exe;   // an absolute path, compared to the kernel's link byte by byte
  Actions actions = static_cast<Actions>(Action::kGet) | static_cast<Actions>(Action::kWatch);
  Place place;
};

enum class RefreshMode { kAhead, kOnDemand, kWhileUsed };
enum class RevokeSuperseded { kAuto, kAlways, kNever };

struct Account {
  std::string name;
  bool enabled = true;
  std::string provider;                              // profile id
  std::shared_ptr<const provider::Profile> profile;  // resolved; shared by accounts and by calls under way
  provider::Grant grant = provider::Grant::kAuthorizationCode;
  std::string client_id;
  SecretSource client_secret;
  SecretSource client_key;         // PEM private key, for private_key_jwt and tls
  std::string client_certificate;  // PEM file, for tls
  std::string client_key_id;       // `kid` of assertions; may be empty
  std::string username;
  SecretSource password;
  bool keep_password = false;
  std::vector<std::string> scopes;
  std::string redirect_uri;
  std::optional<unsigned> redirect_port;
  std::map<std::string, std::string> vars;
  std::map<std::string, std::string> params;  // extra authorize parameters
  std::string ca_file;                        // replaces the system's roots for this account's provider
  bool allow_http_loopback = false;
  RefreshMode refresh = RefreshMode::kAhead;
  std::optional<Duration> margin;  // unset: auto
  RevokeSuperseded revoke_superseded = RevokeSuperseded::kAuto;
  Duration revoke_grace = 60s;
  std::vector<AllowRule> allow;                                 // its own; those of [defaults] hold as well
  std::shared_ptr<const std::vector<AllowRule>> default_allow;  // shared by all accounts; null: none
  std::string identity;     // identity of the grant: 64 hex digits, see identity_of()
  Fingerprint fingerprint;  // of everything that matters at run time: equal = unchanged by a reload
  Origin origin;
};

struct Listen {
  std::string http;  // absolute path of the socket
  std::string dbus = "system";
};
struct Store {
  std::string backend = "sqlite";
  SecretSource key;  // kNone: the default place beside the database
};
struct RefreshSettings {
  unsigned workers = 32;  // 1 to 32
};
struct Callers {
  unsigned max_connections_per_user = 64;
  unsigned max_waiting_per_user = 1024;
  unsigned max_subscriptions_per_user = 32;
  // Of one user, sustained. More than one processor answers (128,000 to 143,000), so nobody honest meets it: that a flood
  // is not noticed by others is done by each user's share of a turn (ipc/http/users.h).
  unsigned max_requests_per_second = 200'000;
};

struct Config {
  Listen listen;
  Store store;
  RefreshSettings refresh;
  Callers callers;
  // Of [defaults]; `admin` there also grants reload, metrics, audit and doctor. Null: none.
  std::shared_ptr<const std::vector<AllowRule>> default_allow;
  std::optional<gid_t> admin_group;  // of kAdminGroup, if this system has it; never of a user's own instance
  std::map<std::string, std::shared_ptr<const provider::Profile>> profiles;
  std::map<std::string, std::shared_ptr<const Account>> accounts;
};

// Its members administer a system instance as root does.
inline constexpr const char* kAdminGroup = "credsync-admin";

// Where to read from. Empty folders are skipped.
struct Paths {
  std::string providers;  // /usr/share/credsyncd/providers
  std::string config;     // /etc/credsyncd
  std::string state;      // /var/lib/credsyncd
  std::string runtime;    // the folder of the socket: /run/credsyncd-api
  bool user_instance = false;
  bool config_must_exist = false;  // the folder was named on the command line
};

struct Problem {
  Place place;
  std::string key;    // dotted path; may be empty for a syntax error
  std::string words;  // what is wrong, what is allowed, did you mean
  bool fatal = true;  // false: a warning
};
// "file:line:column: key: words"
std::string to_string(const Problem& problem);

struct Loaded {
  Config config;  // to be used only if no problem is fatal
  std::vector<Problem> problems;
  bool usable() const;
};

// Reads everything in the order of design section 4. Blocking; never throws; reports every problem it can
// find.
Loaded load(const Paths& paths);

// The merged result as TOML with secrets left out (sources are shown, never what they hold).
std::string dump(const Config& config);

// Identity of a grant (design section 2): provider, token endpoint's origin, client_id, grant, username,
// scopes. Hex of a 32-byte hash. A change means another grant: the old tokens are parked.
std::string identity_of(const Account& account);

struct Difference {
  std::vector<std::string> added, changed, removed;  // account names
};
Difference difference(const Config& before, const Config& after);

}  // namespace credsync::config
