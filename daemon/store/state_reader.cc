#include "daemon/store/state_reader.h"

#include <utility>

#include "base/log.h"
#include "base/message_ids.h"
#include "daemon/store/codec.h"
#include "daemon/store/state_writer.h"

namespace credsync::store {
namespace {

class Reader {
 public:
  Reader(Database& database, const Sealer& sealer) : database_(database), sealer_(sealer) {}

  Result<Snapshot> read() {
    const auto count = database_.integer("SELECT COUNT(*) FROM accounts");
    if (!count) return count.error();
    found_.accounts.reserve(static_cast<std::size_t>(*count));
    CREDSYNC_TRY(each(
        "SELECT name, identity, generation, tokens, state, since, trouble_class, trouble_code, trouble_words, trouble_at,"
        " password_used, kept_password, kept_generation, last_used, spent, promised_until, kept_identity"
        " FROM accounts",
        [this](const Statement& row) { account(row); }));
    CREDSYNC_TRY(each(
        "SELECT id, account, identity, generation, tokens, revocation, retire_at, rolled_back, promised_until FROM parked ORDER BY id",
        [this](const Statement& row) { parked(row); }));
    CREDSYNC_TRY(
        each("SELECT id, account, identity, generation, kind, secrets, not_before, give_up_at, attempts, by_sign_out"
             " FROM retirements ORDER BY id",
             [this](const Statement& row) { retirement(row); }));
    CREDSYNC_TRY(each("SELECT value FROM numbers WHERE name = 'forewarned until'",
                      [this](const Statement& row) { found_.forewarned_until = row.time(0); }));
    auto intents = read_intents(database_);
    if (!intents) return intents.error();
    found_.intents = std::move(*intents);
    return std::move(found_);
  }

 private:
  template <typename Take>
  Result<void> each(std::string_view sql, Take&& take) {
    auto rows = database_.prepare(sql);
    if (!rows) return rows.error();
    while (true) {
      const Result<bool> row = rows->next();
      if (!row) return row.error();
      if (!*row) return {};
      take(*rows);
    }
  }

  void damaged(const std::string& account, const std::string& what) {
    found_.damage.push_back(what + " of " + account + " does not open: damaged, or moved there from elsewhere");
    log::write(log::Level::kError, message_id::kStateDamaged.id, "a stored secret does not open; it was left as it is",
               {{"ACCOUNT", account}, {"WHAT", what}});
  }

  static std::optional<account::TokenSet> decoded(const Result<WipedString>& plain) {
    if (!plain) return std::nullopt;
    auto tokens = decode_tokens(plain->text());
    if (!tokens) return std::nullopt;
    return std::move(*tokens);
  }

  static Standing standing(const Statement& row) {
    Standing standing;
    const std::int64_t state = row.integer(4);
    if (state >= 0 && state <= static_cast<std::int64_t>(State::kSignedOut)) standing.state = static_cast<State>(state);
    standing.since = row.time(5);
    if (!row.null(9)) standing.trouble = Trouble{row.text(6), row.text(7), row.text(8), row.time(9)};
    return standing;
  }

  void account(const Statement& row) {
    StoredAccount account;
    account.name = row.text(0);
    account.identity = row.text(1);
    account.generation = static_cast<Generation>(row.integer(2));
    account.standing = standing(row);
    account.password_used = row.integer(10) != 0;
    account.last_used = row.optional_time(13);
    account.spent = static_cast<Generation>(row.integer(14));
    account.promised_until = row.time(15);
    if (!row.null(3)) {
      account.tokens = decoded(open_tokens(sealer_, row.blob(3), account.name, account.generation, account.identity));
      account.damaged = !account.tokens;
      if (account.damaged) damaged(account.name, "the token set");
    }
    if (!row.null(11)) {
      const auto kept_with = static_cast<Generation>(row.integer(12));
      account.kept_identity = row.text(16);
      const auto plain = open_password(sealer_, row.blob(11), account.name, kept_with, account.kept_identity);
      plain ? account.kept_password = Secret(plain->text()), void() : damaged(account.name, "the kept password");
    }
    found_.accounts.push_back(std::move(account));
  }

  void parked(const Statement& row) {
    ParkedGrant grant;
    grant.id = row.integer(0);
    grant.account = row.text(1);
    grant.identity = row.text(2);
    grant.generation = static_cast<Generation>(row.integer(3));
    grant.retire_at = row.time(6);
    grant.rolled_back = row.integer(7) != 0;
    grant.promised_until = row.time(8);
    auto opened = decoded(sealer_.open(row.blob(4), {kParkedTokensColumn, grant.account, grant.generation, grant.id}));
    if (!opened) return damaged(grant.account, "a parked token set");
    grant.tokens = std::move(*opened);
    if (!row.null(5)) {
      const auto order = sealer_.open(row.blob(5), {kParkedOrderColumn, grant.account, grant.generation, grant.id});
      order          ? grant.order = Secret(order->text()),
              void() : damaged(grant.account, "the order to revoke a parked grant");
    }
    found_.parked.push_back(std::move(grant));
  }

  void retirement(const Statement& row) {
    Retirement r;
    r.id = row.integer(0);
    r.account = row.text(1);
    r.identity = row.text(2);
    r.generation = static_cast<Generation>(row.integer(3));
    r.kind = row.integer(4) == 0 ? RetiredKind::kAccess : RetiredKind::kRefresh;
    r.not_before = row.time(6);
    r.give_up_at = row.time(7);
    r.attempts = static_cast<unsigned>(row.integer(8));
    r.by_sign_out = row.integer(9) != 0;
    if (auto secrets = retirement_secrets(row.blob(5), {kRetirementColumn, r.account, r.generation, r.id})) {
      r.token = std::move(secrets->token);
      r.order = std::move(secrets->order);
    } else {
      damaged(r.account, "a superseded token");
      r.not_before = r.give_up_at;  // nobody can revoke it; its row goes when the token is dead anyway
    }
    found_.retirements.push_back(std::move(r));
  }

  std::optional<RetirementSecrets> retirement_secrets(std::string_view sealed, const Place& place) {
    const auto plain = sealer_.open(sealed, place);
    if (!plain) return std::nullopt;
    auto decoded = decode_retirement(plain->text());
    if (!decoded) return std::nullopt;
    return std::move(*decoded);
  }

  Database& database_;
  const Sealer& sealer_;
  Snapshot found_;
};

}  // namespace

Result<Snapshot> read_state(Database& database, const Sealer& sealer) {
  return Reader(database, sealer).read();
}

Result<std::vector<Intent>> read_intents(Database& database) {
  auto rows = database.prepare(
      "SELECT slot, account, identity, generation, sent_at, resends, renumbered FROM intents ORDER BY sent_at");
  if (!rows) return rows.error();
  std::vector<Intent> found;
  while (true) {
    const Result<bool> row = rows->next();
    if (!row) return row.error();
    if (!*row) return found;
    Intent& intent = found.emplace_back();
    intent.slot = static_cast<SlotId>(rows->integer(0));
    intent.account = rows->text(1);
    intent.identity = rows->text(2);
    intent.generation = static_cast<Generation>(rows->integer(3));
    intent.sent_at = rows->time(4);
    intent.resends = static_cast<unsigned>(rows->integer(5));
    intent.renumbered = static_cast<Generation>(rows->integer(6));
  }
}

}  // namespace credsync::store
