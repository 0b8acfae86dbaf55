#include "daemon/login/same_person.h"

namespace credsync::login {

const account::TokenSet* live_tokens(const account::Accounts& accounts, const config::Account& config) {
  const account::Account* account = accounts.find(config.name);
  if (account == nullptr || account->config().identity != config.identity || account->live() == nullptr) return nullptr;
  return &account->live()->tokens;
}

std::optional<NotCompleted> not_the_same_person(const account::TokenSet* live, const std::string& subject,
                                                const std::string& display) {
  if (live == nullptr || live->subject.empty() || live->subject == subject) return std::nullopt;
  if (subject.empty()) {
    return NotCompleted{"identity_unknown",
                        "it could not be established who signed in, so the account stays as it was; try again", true,
                        false};
  }
  const std::string who = display.empty() ? "" : " (" + display + ")";
  return NotCompleted{"identity", "somebody else than before has signed in" + who + "; the account stays as it was",
                      false, false};
}

}  // namespace credsync::login
