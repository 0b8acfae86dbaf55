#include "daemon/store/state_writer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/log.h"
#include "base/message_ids.h"
#include "daemon/store/codec.h"

namespace credsync::store {
namespace {

std::string seal(const Sealer& sealer, const WipedString& plain, const Place& place) {
  return sealer.seal(plain.text(), place);
}

bool fits_an_integer(Generation generation) {
  return generation <= static_cast<Generation>(std::numeric_limits<std::int64_t>::max());
}

}  // namespace

Result<WipedString> open_tokens(const Sealer& sealer, std::string_view sealed, std::string_view account,
                                Generation generation, std::string_view identity) {
  auto plain = sealer.open(sealed, place_of_tokens(account, generation, identity));
  return plain ? std::move(plain) : sealer.open(sealed, {kTokensColumn, account, generation, 0});
}

Result<WipedString> open_password(const Sealer& sealer, std::string_view sealed, std::string_view account,
                                  Generation generation, std::string_view identity) {
  auto plain = sealer.open(sealed, place_of_password(account, generation, identity));
  return plain ? std::move(plain) : sealer.open(sealed, {kPasswordColumn, account, generation, 0});
}

Ids give_ids(Change& change, const std::function<std::int64_t()>& new_id) {
  Ids ids;
  const auto give = [&](std::int64_t& id) {
    if (id == 0) id = new_id();
    ids.push_back(id);
  };
  if (auto* park = std::get_if<Park>(&change)) give(park->grant.id);
  std::visit(
      [&](auto& c) {
        if constexpr (requires { c.retire; }) {
          for (Retirement& retirement : c.retire)
            give(retirement.id);
        }
      },
      change);
  return ids;
}

Result<Applied> StateWriter::apply(const Change& any) {
  Applied applied;
  const auto result = std::visit([&](const auto& one) { return change(one, applied); }, any);
  if (!result) return result.error();
  return applied;
}

// A wrong number is our own mistake; it must not cost a token that cannot be had twice.
Result<Generation> StateWriter::next_generation(const Install& install) {
  const auto last = generation_of(install.account);
  if (!last) return last.error();
  if (!fits_an_integer(install.generation)) return invalid("generation out of range");
  if (install.generation > *last) return install.generation;
  log::write(log::Level::kError, message_id::kUnexpected.id,
             "a token set came with a generation that was used before; it is stored with the next one",
             {{"ACCOUNT", install.account}, {"GENERATION", std::to_string(install.generation)}});
  return *last + 1;
}

Result<Generation> StateWriter::generation_of(const std::string& account) {
  const Result<bool> row = generation_.with(account).next();
  if (!row) return row.error();
  const auto generation = *row ? static_cast<Generation>(generation_.integer(0)) : 0;
  generation_.reset();
  return generation;
}

Result<std::string> StateWriter::account_of_parked(std::int64_t id) {
  const Result<bool> row = select_parked_.with(id).next();
  if (!row) return row.error();
  if (!*row) return not_found("no parked grant " + std::to_string(id));
  std::string account = select_parked_.text(0);
  select_parked_.reset();
  return account;
}

Result<std::string> StateWriter::account_of(const UpdateParked& update) {
  auto account = account_of_parked(update.parked_id);
  if (account || !update.slot || account.error().code() != ErrorCode::kNotFound) return account;
  const auto intent = intent_of(*update.slot);
  if (!intent) return intent.error();
  const auto holds = holds_tokens_of(intent->account);
  if (!holds) return holds.error();
  if (!*holds) return not_found("no grant of " + intent->account + " that could be parked");
  return intent->account;
}

Result<Intent> StateWriter::intent_of(SlotId slot) {
  const Result<bool> row = select_intent_.with(slot).next();
  if (!row) return row.error();
  if (!*row) return not_found("no such intent");
  Intent intent;
  intent.account = select_intent_.text(0);
  intent.identity = select_intent_.text(1);
  intent.generation = static_cast<Generation>(select_intent_.integer(2));
  select_intent_.reset();
  return intent;
}

Result<std::optional<ParkedGrant>> StateWriter::tokens_of_another(const std::string& account,
                                                                  const std::string& identity) {
  const auto holds = holds_tokens_of(account);
  if (!holds) return holds.error();
  if (!*holds || **holds == identity) return std::optional<ParkedGrant>();
  const auto found = newer_tokens(account, 0);
  if (!found) return found.error();
  if (found->tokens.text().empty()) return std::optional<ParkedGrant>();  // damaged
  auto tokens = decode_tokens(found->tokens.text());
  const auto promised = promised_until_of(account);
  if (!promised) return promised.error();
  if (!tokens) return std::optional<ParkedGrant>();
  ParkedGrant grant;
  grant.account = account;
  grant.identity = **holds;
  grant.generation = found->generation;
  grant.tokens = std::move(*tokens);
  grant.promised_until = *promised;
  return std::optional(std::move(grant));
}

Result<std::int64_t> StateWriter::highest_id() {
  return database_->integer(
      "SELECT MAX(COALESCE((SELECT MAX(id) FROM retirements), 0), COALESCE((SELECT MAX(id) FROM parked), 0))");
}

Result<void> StateWriter::must_touch(Statement& statement, const char* what) {
  CREDSYNC_TRY(statement.run());
  if (database_->changes() == 0) return not_found(std::string("no such ") + what);
  return {};
}

Result<void> StateWriter::change(const Install& install, Applied& applied) {
  const auto next = next_generation(install);
  if (!next) return next.error();
  const Generation generation = *next;
  const std::string tokens =
      seal(*sealer_, encode_tokens(install.tokens), place_of_tokens(install.account, generation, install.identity));
  CREDSYNC_TRY(install_
                   .with(install.account, install.identity, generation, Blob{tokens}, install.password_used,
                         install.promised_until)
                   .run());
  CREDSYNC_TRY(set_standing(install.account, install.standing));
  if (install.replace_kept_password) CREDSYNC_TRY(keep_password(install, generation));
  CREDSYNC_TRY(queue(install.retire, applied));
  return free_slot(install.slot, applied);
}

Result<void> StateWriter::keep_password(const Install& install, Generation generation) {
  std::string sealed;
  if (!install.kept_password.empty()) {
    sealed =
        sealer_->seal(install.kept_password.expose(), place_of_password(install.account, generation, install.identity));
  }
  return keep_password_.with(install.account, Blob{sealed}, generation, install.identity).run();
}

Result<void> StateWriter::set_standing(const std::string& account, const Standing& standing) {
  const auto& trouble = standing.trouble;
  if (!trouble) {
    return standing_.with(account, standing.state, standing.since, nullptr, nullptr, nullptr, nullptr).run();
  }
  return standing_
      .with(account, standing.state, standing.since, trouble->error_class, trouble->code, trouble->words, trouble->at)
      .run();
}

Result<void> StateWriter::change(const SetStanding& set, Applied&) {
  if (set.about) {
    const Result<bool> row = select_account_.with(set.account).next();
    if (!row) return row.error();
    const bool has_tokens = *row && select_account_.integer(1) != 0;
    const bool replaced = has_tokens && static_cast<Generation>(select_account_.integer(0)) > *set.about;
    const bool over = *row && !has_tokens && select_account_.integer(3) == static_cast<std::int64_t>(State::kSignedOut);
    select_account_.reset();
    if (replaced || over) return {};
  }
  return set_standing(set.account, set.standing);
}

Result<void> StateWriter::change(const Forget& forget, Applied& applied) {
  CREDSYNC_TRY(forget_.with(forget.account).run());
  applied.erased = true;
  if (database_->changes() > 0) CREDSYNC_TRY(set_standing(forget.account, Standing{}));
  return free_slots(drop_intents_.with(forget.account), applied);
}

Result<void> StateWriter::change(const SignOut& sign_out, Applied& applied) {
  if (!fits_an_integer(sign_out.up_to)) return invalid("generation out of range");
  CREDSYNC_TRY(set_standing(sign_out.account, sign_out.standing));
  CREDSYNC_TRY(sign_out_.with(sign_out.account, sign_out.up_to).run());
  if (database_->changes() == 0) return invalid("newer tokens of " + sign_out.account + " came; they are not erased");
  applied.erased = true;
  return queue(sign_out.retire, applied);
}

Result<void> StateWriter::change(const Park& park, Applied& applied) {
  const ParkedGrant& grant = park.grant;
  if (!fits_an_integer(grant.generation)) return invalid("generation out of range");
  applied.ids = {grant.id};
  if (park.again) {
    const auto there = parked(grant.id);
    if (there) return park_over(grant, *there);
    if (there.error().code() != ErrorCode::kNotFound) return there.error();
  }
  const auto holds = holds_tokens_of(grant.account);
  if (!holds) return holds.error();
  if (!*holds && !park.again) return not_found("no such tokens to park");
  if (!*holds || **holds != grant.identity) {  // another grant's came meanwhile: they stay, if they are there still
    const Place place{kParkedTokensColumn, grant.account, grant.generation, grant.id};
    return insert(grant, grant.generation, seal(*sealer_, encode_tokens(grant.tokens), place), grant.promised_until);
  }
  const auto newer = newer_tokens(grant.account, grant.generation);
  if (!newer) return newer.error();
  const bool is_newer = newer->generation > grant.generation;
  const auto promised = promised_until_of(grant.account);
  if (!promised) return promised.error();
  const Generation generation = is_newer ? newer->generation : grant.generation;
  CREDSYNC_TRY(must_touch(park_.with(grant.account, generation), "tokens to park"));
  const Place place{kParkedTokensColumn, grant.account, generation, grant.id};
  const std::string tokens =
      is_newer ? seal(*sealer_, newer->tokens, place) : seal(*sealer_, encode_tokens(grant.tokens), place);
  return insert(grant, generation, tokens, std::max(grant.promised_until, *promised));
}

// A late answer has parked it, and knew no more than its tokens.
Result<void> StateWriter::park_over(const ParkedGrant& grant, const Parked& there) {
  const bool is_newer = there.generation > grant.generation && !there.tokens.text().empty();
  const Generation generation = is_newer ? there.generation : grant.generation;
  const Place place{kParkedTokensColumn, grant.account, generation, grant.id};
  const std::string tokens =
      is_newer ? seal(*sealer_, there.tokens, place) : seal(*sealer_, encode_tokens(grant.tokens), place);
  CREDSYNC_TRY(delete_parked(grant.id));
  return insert(grant, generation, tokens, std::max(grant.promised_until, there.promised_until));
}

Result<void> StateWriter::insert(const ParkedGrant& grant, Generation generation, const std::string& tokens,
                                 WallTime promised_until) {
  std::string order;
  if (!grant.order.empty()) {
    order = sealer_->seal(grant.order.expose(), {kParkedOrderColumn, grant.account, generation, grant.id});
  }
  return insert_parked_
      .with(grant.id, grant.account, grant.identity, generation, Blob{tokens}, Blob{order}, grant.retire_at,
            grant.rolled_back, promised_until)
      .run();
}

Result<std::optional<std::string>> StateWriter::holds_tokens_of(const std::string& account) {
  const Result<bool> row = select_holder_.with(account).next();
  if (!row) return row.error();
  auto identity = *row ? std::optional<std::string>(select_holder_.text(0)) : std::nullopt;
  select_holder_.reset();
  return identity;
}

Result<WallTime> StateWriter::promised_until_of(const std::string& account) {
  const Result<bool> row = select_account_.with(account).next();
  if (!row) return row.error();
  const WallTime until = *row ? select_account_.time(2) : WallTime();
  select_account_.reset();
  return until;
}

Result<StateWriter::Parked> StateWriter::newer_tokens(const std::string& account, Generation generation) {
  Parked found{account, {}, 0, {}, {}, {}};
  const Result<bool> row = select_tokens_.with(account, generation).next();
  if (!row) return row.error();
  if (!*row) return found;
  const auto stored = static_cast<Generation>(select_tokens_.integer(0));
  auto plain = open_tokens(*sealer_, select_tokens_.blob(1), account, stored, select_tokens_.text(2));
  select_tokens_.reset();
  if (!plain) return found;  // damaged: what the caller has is all there is
  found.generation = stored;
  found.tokens = std::move(*plain);
  return found;
}

Result<StateWriter::Parked> StateWriter::parked(std::int64_t id) {
  const Result<bool> row = select_parked_.with(id).next();
  if (!row) return row.error();
  if (!*row) return not_found("no parked grant " + std::to_string(id));
  Parked found{
      select_parked_.text(0), select_parked_.text(1), static_cast<Generation>(select_parked_.integer(2)), {}, {},
      select_parked_.time(5)};
  const Place order_place{kParkedOrderColumn, found.account, found.generation, id};
  const std::string order(select_parked_.blob(4));
  auto tokens = sealer_->open(select_parked_.blob(3), {kParkedTokensColumn, found.account, found.generation, id});
  select_parked_.reset();
  if (tokens) found.tokens = std::move(*tokens);
  if (!order.empty()) {
    // Without its order a parked grant can still be used, and is erased instead of revoked.
    if (auto plain = sealer_->open(order, order_place)) {
      found.order = Secret(plain->text());
    } else {
      log::write(log::Level::kError, message_id::kStateDamaged.id, "the order to revoke a parked grant does not open",
                 {{"ACCOUNT", found.account}});
    }
  }
  return found;
}

Result<void> StateWriter::delete_parked(std::int64_t id) {
  return must_touch(delete_parked_.with(id), "parked grant");
}

Result<void> StateWriter::change(const SetParkedOrder& set, Applied&) {
  const auto found = parked(set.parked_id);
  if (!found) return found.error();
  std::string order;
  if (!set.order.empty()) {
    order = sealer_->seal(set.order.expose(), {kParkedOrderColumn, found->account, found->generation, set.parked_id});
  }
  return parked_order_.with(set.parked_id, Blob{order}).run();
}

Result<void> StateWriter::change(const Restore& restore, Applied& applied) {
  const auto found = parked(restore.parked_id);
  if (!found) return found.error();
  if (found->tokens.text().empty()) return corrupt("the parked tokens of " + found->account + " do not open");
  const Result<bool> row = select_account_.with(found->account).next();
  if (!row) return row.error();
  if (!*row) return not_found("no account " + found->account);
  const auto last = static_cast<Generation>(select_account_.integer(0));
  const bool has_tokens = select_account_.integer(1) != 0;
  select_account_.reset();
  if (has_tokens) return invalid(found->account + " still has tokens; nothing is restored over them");
  const Generation generation = std::max({last, found->generation, restore.generation});
  if (!fits_an_integer(generation)) return invalid("generation out of range");
  const std::string tokens =
      seal(*sealer_, found->tokens, place_of_tokens(found->account, generation, found->identity));
  CREDSYNC_TRY(restore_.with(found->account, found->identity, generation, Blob{tokens}, found->promised_until).run());
  CREDSYNC_TRY(set_standing(found->account, restore.standing));
  CREDSYNC_TRY(renumber_intents_.with(found->account, found->identity, found->generation, generation).run());
  applied.ids = {static_cast<std::int64_t>(generation)};
  return delete_parked(restore.parked_id);
}

Result<void> StateWriter::change(const RetireParked& retire, Applied& applied) {
  CREDSYNC_TRY(forget_kept_.with(retire.parked_id).run());
  CREDSYNC_TRY(delete_parked(retire.parked_id));
  applied.erased = true;
  return queue(retire.retire, applied);
}

Result<void> StateWriter::change(const UpdateParked& update, Applied& applied) {
  if (!fits_an_integer(update.generation)) return invalid("generation out of range");
  const auto found = parked(update.parked_id);
  if (!found && found.error().code() == ErrorCode::kNotFound && update.slot) {
    CREDSYNC_TRY(update_unparked(update));
    CREDSYNC_TRY(queue(update.retire, applied));
    return free_slot(update.slot, applied);
  }
  if (!found) return found.error();
  const std::int64_t id = update.parked_id;
  const std::string tokens =
      seal(*sealer_, encode_tokens(update.tokens), {kParkedTokensColumn, found->account, update.generation, id});
  std::string order;
  if (!found->order.empty()) {
    order = sealer_->seal(found->order.expose(), {kParkedOrderColumn, found->account, update.generation, id});
  }
  CREDSYNC_TRY(update_parked_.with(id, update.generation, Blob{tokens}, Blob{order}).run());
  CREDSYNC_TRY(queue(update.retire, applied));
  return free_slot(update.slot, applied);
}

// The disk has refused to park its grant until now. The row has the tokens that these replace, and they are parked from
// there; or it has another grant's already, and these are parked at once, for as long as nobody says for how long.
Result<void> StateWriter::update_unparked(const UpdateParked& update) {
  const auto intent = intent_of(*update.slot);
  if (!intent) return intent.error();
  const auto holds = holds_tokens_of(intent->account);
  if (!holds) return holds.error();
  if (!*holds) return not_found("no grant of " + intent->account + " that could be parked");
  if (**holds == intent->identity) {
    const auto last = generation_of(intent->account);
    if (!last) return last.error();
    const Generation generation = std::max(update.generation, *last + 1);
    const Place place = place_of_tokens(intent->account, generation, intent->identity);
    const std::string tokens = seal(*sealer_, encode_tokens(update.tokens), place);
    return late_.with(intent->account, generation, Blob{tokens}).run();
  }
  ParkedGrant grant;
  grant.id = update.parked_id;
  grant.account = intent->account;
  grant.identity = intent->identity;
  grant.retire_at = saturating_add(update.tokens.obtained_at, kPutAsideFor);
  const Place place{kParkedTokensColumn, grant.account, update.generation, grant.id};
  return insert(grant, update.generation, seal(*sealer_, encode_tokens(update.tokens), place), WallTime());
}

Result<void> StateWriter::change(const QueueRetirements& change, Applied& applied) {
  CREDSYNC_TRY(queue(change.retire, applied));
  return free_slot(change.slot, applied);
}

Result<void> StateWriter::queue(const std::vector<Retirement>& list, Applied& applied) {
  for (const Retirement& r : list) {
    if (!fits_an_integer(r.generation)) return invalid("generation out of range");
    const std::string secrets =
        seal(*sealer_, encode_retirement(r), {kRetirementColumn, r.account, r.generation, r.id});
    CREDSYNC_TRY(insert_retirement_
                     .with(r.id, r.account, r.identity, r.generation, r.kind, Blob{secrets}, r.not_before, r.give_up_at,
                           r.attempts, r.by_sign_out)
                     .run());
    applied.ids.push_back(r.id);
  }
  return {};
}

Result<void> StateWriter::change(const RetirementTried& tried, Applied&) {
  return must_touch(retirement_tried_.with(tried.id, tried.attempts, tried.not_before), "retirement");
}

Result<void> StateWriter::change(const RetirementOver& over, Applied& applied) {
  CREDSYNC_TRY(retirement_over_.with(over.id).run());
  applied.erased = applied.erased || database_->changes() > 0;
  return {};
}

Result<void> StateWriter::add_intent(const Intent& intent) {
  if (!fits_an_integer(intent.generation)) return invalid("generation out of range");
  return insert_intent_
      .with(intent.slot, intent.account, intent.identity, intent.generation, intent.sent_at, intent.resends)
      .run();
}

Counts StateWriter::counted(const Change& change) {
  return std::visit(
      [](const auto& c) -> Counts {
        using Kind = std::decay_t<decltype(c)>;
        if constexpr (std::is_same_v<Kind, Install>) return {c.slot ? 1 : 0, 1};  // without a slot: it does not rotate
        if constexpr (std::is_same_v<Kind, UpdateParked> || std::is_same_v<Kind, Restore>) return {1, 1};
        if constexpr (std::is_same_v<Kind, SetSpent>) return {0, 1};
        const bool leaves = std::is_same_v<Kind, SignOut> || std::is_same_v<Kind, Forget> ||
                            std::is_same_v<Kind, Park> || std::is_same_v<Kind, RetireParked>;
        return {leaves ? 1 : 0, 0};
      },
      change);
}

Result<Counts> StateWriter::counts() {
  const auto rotations = database_->integer("SELECT value FROM numbers WHERE name = 'rotations'");
  if (!rotations) return rotations.error();
  const auto generations = database_->integer("SELECT value FROM numbers WHERE name = 'generations'");
  if (!generations) return generations.error();
  return Counts{*rotations, *generations};
}

Result<void> StateWriter::set_counts(const Counts& counts) {
  CREDSYNC_TRY(set_number_.with("rotations", counts.rotations).run());
  return set_number_.with("generations", counts.generations).run();
}

Result<void> StateWriter::spend(std::int64_t generations) {
  auto statement = database_->prepare("UPDATE accounts SET spent = MAX(spent, generation + ?1)");
  if (!statement) return statement.error();
  return statement->with(generations).run();
}

Result<void> StateWriter::roll_back(std::int64_t generations, WallTime now) {
  CREDSYNC_TRY(spend(generations));
  const Standing standing = account::rolled_back_at(now);
  auto freeze = database_->prepare(
      "UPDATE accounts SET state = ?1, since = ?2, trouble_class = ?3, trouble_code = ?4, trouble_words = ?5,"
      " trouble_at = ?2 WHERE tokens NOTNULL");
  if (!freeze) return freeze.error();
  const auto& trouble = *standing.trouble;
  CREDSYNC_TRY(freeze->with(standing.state, now, trouble.error_class, trouble.code, trouble.words).run());
  return database_->execute("UPDATE parked SET rolled_back = 1");
}

Result<void> StateWriter::change(const DropIntent& drop, Applied& applied) {
  return free_slot(drop.slot, applied);
}

Result<void> StateWriter::change(const CountResend& count, Applied&) {
  return must_touch(count_resend_.with(count.slot, count.account), "intent");
}

Result<void> StateWriter::change(const SetLastUsed& set, Applied&) {
  return last_used_.with(set.account, set.at).run();
}

Result<void> StateWriter::change(const SetPromised& set, Applied&) {
  if (!fits_an_integer(set.generation)) return invalid("generation out of range");
  for (Statement* of : {&promised_, &parked_promised_, &retired_promised_}) {
    CREDSYNC_TRY(of->with(set.account, set.generation, set.until).run());
    if (database_->changes() > 0) return {};
  }
  return {};
}

Result<void> StateWriter::change(const SetSpent& set, Applied&) {
  if (!fits_an_integer(set.up_to)) return invalid("generation out of range");
  return must_touch(spent_.with(set.account, set.up_to), "account");
}

Result<void> StateWriter::change(const SetForewarned& set, Applied&) {
  return forewarned_.with(set.until).run();
}

Result<void> StateWriter::change(const FreeRoom&, Applied&) {
  return {};  // the row stays; the slot is the committer's
}

Result<void> StateWriter::free_slot(const std::optional<SlotId>& slot, Applied& applied) {
  if (!slot) return {};
  return free_slots(drop_slot_.with(*slot), applied);
}

Result<void> StateWriter::free_slots(Statement& deleting, Applied& applied) {
  while (true) {
    const Result<bool> row = deleting.next();
    if (!row) return row.error();
    if (!*row) return {};
    applied.released.push_back(static_cast<SlotId>(deleting.integer(0)));
  }
}

}  // namespace credsync::store
