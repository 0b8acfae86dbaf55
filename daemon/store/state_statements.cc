// What the writer runs, in SQL: prepared once, for it is run for every change.
#include <utility>

#include "daemon/store/state_writer.h"

namespace credsync::store {

Result<StateWriter> StateWriter::create(Database& database, const Sealer& sealer) {
  StateWriter w(database, sealer);
  const std::pair<Statement*, const char*> statements[] = {
      {&w.generation_, "SELECT generation FROM accounts WHERE name = ?1"},
      {&w.install_,
       "INSERT INTO accounts (name, identity, generation, tokens, password_used, promised_until)"
       " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO UPDATE SET identity = ?2, generation = ?3, tokens = ?4,"
       " password_used = ?5, promised_until = ?6,"
       " kept_password = CASE WHEN kept_identity = ?2 OR EXISTS (SELECT 1 FROM parked WHERE account = ?1"
       " AND parked.identity = kept_identity) THEN kept_password END"},
      {&w.late_, "UPDATE accounts SET generation = ?2, tokens = ?3 WHERE name = ?1"},
      {&w.keep_password_,
       "UPDATE accounts SET kept_password = ?2, kept_generation = ?3, kept_identity = ?4 WHERE name = ?1"},
      {&w.forget_kept_,
       "UPDATE accounts SET kept_password = NULL"
       " WHERE (name, kept_identity) = (SELECT account, identity FROM parked WHERE id = ?1)"
       " AND NOT (tokens NOTNULL AND identity = kept_identity) AND NOT EXISTS"
       " (SELECT 1 FROM parked WHERE account = name AND parked.identity = kept_identity AND id <> ?1)"},
      {&w.standing_,
       "INSERT INTO accounts (name, state, since, trouble_class, trouble_code, trouble_words, trouble_at)"
       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (name) DO UPDATE SET state = ?2, since = ?3,"
       " trouble_class = ?4, trouble_code = ?5, trouble_words = ?6, trouble_at = ?7"},
      {&w.forget_,
       "UPDATE accounts SET identity = '', tokens = NULL, password_used = 0, kept_password = NULL, last_used = NULL,"
       " promised_until = 0"
       " WHERE name = ?1"},
      {&w.sign_out_,
       "UPDATE accounts SET tokens = NULL, kept_password = NULL, promised_until = 0"
       " WHERE name = ?1 AND (tokens ISNULL OR generation <= ?2)"},
      {&w.park_,
       "UPDATE accounts SET tokens = NULL, promised_until = 0, generation = MAX(generation, ?2)"
       " WHERE name = ?1 AND tokens NOTNULL"},
      {&w.insert_parked_,
       "INSERT INTO parked (id, account, identity, generation, tokens, revocation, retire_at, rolled_back,"
       " promised_until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"},
      {&w.select_parked_,
       "SELECT account, identity, generation, tokens, revocation, promised_until FROM parked WHERE id = ?1"},
      {&w.delete_parked_, "DELETE FROM parked WHERE id = ?1"},
      {&w.update_parked_, "UPDATE parked SET generation = ?2, tokens = ?3, revocation = ?4 WHERE id = ?1"},
      {&w.parked_order_, "UPDATE parked SET revocation = ?2 WHERE id = ?1"},
      {&w.select_account_, "SELECT generation, tokens NOTNULL, promised_until, state FROM accounts WHERE name = ?1"},
      {&w.select_holder_, "SELECT identity FROM accounts WHERE name = ?1 AND tokens NOTNULL"},
      {&w.select_tokens_,
       "SELECT generation, tokens, identity FROM accounts WHERE name = ?1 AND generation > ?2 AND tokens NOTNULL"},
      {&w.restore_,
       "UPDATE accounts SET identity = ?2, generation = ?3, tokens = ?4, promised_until = ?5 WHERE name = ?1"},
      {&w.insert_retirement_,
       "INSERT INTO retirements (id, account, identity, generation, kind, secrets, not_before, give_up_at, attempts,"
       " by_sign_out) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"},
      {&w.retirement_tried_, "UPDATE retirements SET attempts = ?2, not_before = ?3 WHERE id = ?1"},
      {&w.retirement_over_, "DELETE FROM retirements WHERE id = ?1"},
      {&w.insert_intent_,
       "INSERT INTO intents (slot, account, identity, generation, sent_at, resends) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
      {&w.renumber_intents_,
       "UPDATE intents SET renumbered = ?4"
       " WHERE account = ?1 AND identity = ?2 AND generation > 0 AND MAX(generation, renumbered) >= ?3"},
      {&w.select_intent_, "SELECT account, identity, generation FROM intents WHERE slot = ?1"},
      {&w.drop_slot_, "DELETE FROM intents WHERE slot = ?1 RETURNING slot"},
      {&w.drop_intents_, "DELETE FROM intents WHERE account = ?1 RETURNING slot"},
      {&w.count_resend_, "UPDATE intents SET resends = resends + 1 WHERE slot = ?1 AND account = ?2"},
      {&w.last_used_, "UPDATE accounts SET last_used = ?2 WHERE name = ?1"},
      {&w.promised_,
       "UPDATE accounts SET promised_until = MAX(promised_until, ?3)"
       " WHERE name = ?1 AND generation = ?2 AND tokens NOTNULL"},
      {&w.parked_promised_,
       "UPDATE parked SET promised_until = MAX(promised_until, ?3) WHERE account = ?1 AND generation = ?2"},
      {&w.retired_promised_,
       "UPDATE retirements SET not_before = MAX(not_before, ?3)"
       " WHERE account = ?1 AND generation = ?2 AND kind = 0 AND by_sign_out = 0"},
      {&w.spent_, "UPDATE accounts SET spent = MAX(spent, ?2) WHERE name = ?1"},
      {&w.set_number_, "UPDATE numbers SET value = ?2 WHERE name = ?1 AND value <> ?2"},
      {&w.forewarned_, "INSERT OR REPLACE INTO numbers (name, value) VALUES ('forewarned until', ?1)"},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = database.prepare(sql);
    if (!prepared) return prepared.error();
    *statement = std::move(*prepared);
  }
  return w;
}

}  // namespace credsync::store
