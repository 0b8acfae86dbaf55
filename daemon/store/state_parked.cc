// The changes of grants that leave their account and come back, and of what comes late for them.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/message_ids.h"
#include "daemon/store/codec.h"
#include "daemon/store/state_writer.h"

namespace credsync::store {

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

}  // namespace credsync::store
