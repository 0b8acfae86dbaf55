#include "daemon/store/migrations.h"

#include "base/fail_point.h"

namespace credsync::store {
namespace {

// Times are microseconds since 1970. Sealed columns (blobs) hold everything secret; see sealer.h for what binds them.
// Generations and ids are never reused: an account's row outlives its tokens, and numbers remembers the ids.
constexpr char kFirst[] = R"sql(
CREATE TABLE data_keys (
  wrapped_by TEXT PRIMARY KEY,       -- 'master'; a recovery key would be another row
  key_id TEXT NOT NULL,              -- of the wrapping key
  wrapped BLOB NOT NULL
) STRICT;
CREATE TABLE numbers (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL             -- 'next id': no id from here on was ever given
) STRICT;
INSERT INTO numbers (name, value) VALUES ('next id', 1);
CREATE TABLE accounts (
  name TEXT PRIMARY KEY,
  identity TEXT NOT NULL DEFAULT '',
  generation INTEGER NOT NULL DEFAULT 0,
  tokens BLOB,                       -- sealed
  state INTEGER NOT NULL DEFAULT 2,
  since INTEGER NOT NULL DEFAULT 0,
  trouble_class TEXT, trouble_code TEXT, trouble_words TEXT, trouble_at INTEGER,
  password_used INTEGER NOT NULL DEFAULT 0,
  kept_password BLOB,                -- sealed
  kept_generation INTEGER NOT NULL DEFAULT 0,   -- the generation kept_password was sealed with
  last_used INTEGER
) STRICT;
CREATE TABLE parked (
  id INTEGER PRIMARY KEY,
  account TEXT NOT NULL,
  identity TEXT NOT NULL,
  generation INTEGER NOT NULL,
  tokens BLOB,                       -- sealed
  revocation BLOB,                   -- sealed: the order
  retire_at INTEGER NOT NULL
) STRICT;
CREATE TABLE intents (
  slot INTEGER PRIMARY KEY,
  account TEXT NOT NULL,
  identity TEXT NOT NULL,
  generation INTEGER NOT NULL,
  sent_at INTEGER NOT NULL,
  resends INTEGER NOT NULL
) STRICT;
CREATE INDEX intents_account ON intents (account);
CREATE TABLE retirements (
  id INTEGER PRIMARY KEY,
  account TEXT NOT NULL,
  identity TEXT NOT NULL,
  generation INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  secrets BLOB,                      -- sealed: the token and the order
  not_before INTEGER NOT NULL,
  give_up_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  by_sign_out INTEGER NOT NULL
) STRICT;
)sql";

// What tells that the database was put back to an older copy, and what that leaves behind (docs/decisions/022).
constexpr char kCounted[] = R"sql(
INSERT INTO numbers (name, value) VALUES ('rotations', 0);     -- see witness.h
INSERT INTO numbers (name, value) VALUES ('generations', 0);
ALTER TABLE accounts ADD COLUMN spent INTEGER NOT NULL DEFAULT 0;        -- generations up to it may have been given out
ALTER TABLE parked ADD COLUMN rolled_back INTEGER NOT NULL DEFAULT 0;    -- its refresh token may have been replaced
)sql";

// Until when callers were promised the access token (docs/decisions/032). 0: to nobody, or before this schema.
constexpr char kPromised[] = R"sql(
ALTER TABLE accounts ADD COLUMN promised_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE parked ADD COLUMN promised_until INTEGER NOT NULL DEFAULT 0;
)sql";

// A parked grant may come back under a new number while its refresh is of unknown outcome. The first number stays: what comes into
// the slot is sealed to it.
constexpr char kRenumbered[] = R"sql(
ALTER TABLE intents ADD COLUMN renumbered INTEGER NOT NULL DEFAULT 0;    -- the number that its grant has now; 0: the first
)sql";

// A kept password outlived its grant in the row, and passed for the next one's.
constexpr char kOfOneGrant[] = R"sql(
ALTER TABLE accounts ADD COLUMN kept_identity TEXT NOT NULL DEFAULT '';  -- of the grant that kept_password was given for
UPDATE accounts SET kept_identity = identity WHERE kept_password NOTNULL;
)sql";

constexpr Migration kSteps[] = {{kFirst}, {kCounted}, {kPromised}, {kRenumbered}, {kOfOneGrant}};

}  // namespace

std::span<const Migration> migrations() {
  return kSteps;
}

Result<void> check_version(Database& database, std::span<const Migration> steps) {
  const auto version = database.integer("PRAGMA user_version");
  if (!version) return version.error();
  if (*version > static_cast<std::int64_t>(steps.size())) {
    return Error(ErrorCode::kTooNew, "written by a newer credsyncd (schema " + std::to_string(*version) +
                                         ", this one knows " + std::to_string(steps.size()) + ")");
  }
  return {};
}

Result<void> migrate(Database& database, std::span<const Migration> steps) {
  CREDSYNC_TRY(check_version(database, steps));
  const auto version = database.integer("PRAGMA user_version");
  if (!version) return version.error();
  for (auto step = static_cast<std::size_t>(*version); step < steps.size(); ++step) {
    const std::string number = std::to_string(step + 1);
    auto made =
        database.execute("BEGIN IMMEDIATE;" + std::string(steps[step].sql) + ";PRAGMA user_version = " + number);
    CREDSYNC_FAIL_POINT("migration.before");
    if (made) made = database.execute("COMMIT");
    CREDSYNC_FAIL_POINT("migration.after");
    if (made) continue;
    if (database.in_transaction()) CREDSYNC_TRY(database.execute("ROLLBACK"));
    return made.error().within("schema step " + number);
  }
  return {};
}

}  // namespace credsync::store
