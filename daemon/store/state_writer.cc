#include "daemon/store/state_writer.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/message_ids.h"
#include "daemon/store/codec.h"

namespace credsync::store {
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
