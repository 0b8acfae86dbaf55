// Whether who signs in to an account is who signed in before: one rule for all ways to sign in. Loop only.
#pragma once

#include <optional>
#include <string>

#include "daemon/account/accounts.h"
#include "daemon/login/completion.h"

namespace credsync::login {

// The account's tokens, if they belong to the same grant.
const account::TokenSet* live_tokens(const account::Accounts& accounts, const config::Account& config);

// Why the new tokens, of `subject`, must not take the place of `live` (which may be null); nothing: they may. Refused is a
// known difference, and that the new subject is not known where the old one is: userinfo may be down for a moment, and
// nobody in particular would be the account's owner from then on. Where nobody was known before, nothing is compared.
// `display`: for people, cleaned, may be empty.
std::optional<NotCompleted> not_the_same_person(const account::TokenSet* live, const std::string& subject,
                                                const std::string& display);

}  // namespace credsync::login
