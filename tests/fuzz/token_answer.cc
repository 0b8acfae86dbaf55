// Token answers (RFC 6749, 5): every promise that the account and whoever shows it relies on.
#include <variant>

#include "daemon/oauth/lifetime.h"
#include "tests/fuzz/answers.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

bool is_plain(std::string_view text) {
  for (const char c : text) {
    if (c < 0x20 || c >= 0x7f) return false;
  }
  return true;
}

void check_tokens(const account::TokenSet& tokens, const oauth::Asked& asked) {
  constexpr std::size_t kMostToken = 32 * 1024, kMostScope = 512, kMostScopes = 256, kMostKept = 4096,
                        kMostSubject = 256;
  HOLDS(!tokens.access_token.empty());
  for (const Secret* token : {&tokens.access_token, &tokens.refresh_token, &tokens.id_token}) {
    HOLDS(token->size() <= kMostToken);
    HOLDS(is_plain(token->expose()));
  }
  HOLDS(oauth::is_header_name(tokens.token_type));
  HOLDS(tokens.token_type.size() <= 64);
  HOLDS(tokens.obtained_at == kSent);
  HOLDS(!tokens.expires_at || (*tokens.expires_at >= kSent && *tokens.expires_at <= kWallMax));
  HOLDS(!tokens.refresh_expires_at || (*tokens.refresh_expires_at >= kSent && *tokens.refresh_expires_at <= kWallMax));
  HOLDS(!tokens.refresh_in || *tokens.refresh_in >= Duration::zero());
  HOLDS(tokens.scope.size() <= std::max(kMostScopes, asked.scopes.size()));
  for (const std::string& scope : tokens.scope) {
    HOLDS(is_fit_to_show(scope));
    HOLDS(scope.size() <= kMostScope);
  }
  for (const auto& [name, value] : tokens.extra)
    HOLDS(value.size() <= kMostKept);
  HOLDS(is_fit_to_show(tokens.subject));
  HOLDS(tokens.subject.size() <= kMostSubject);
}

}  // namespace

void run(Input input) {
  const Asking asking = read_asking(input);
  const oauth::HttpResponse response = read_response(input);
  const oauth::Asked asked{asking.kind, {"scores", "profile"}, secrets()};
  const oauth::TokenOutcome outcome = read_token_answer(asking.profile, response, asked);
  if (const auto* failure = std::get_if<oauth::Failure>(&outcome)) {
    check_failure(*failure);
    HOLDS(failure->sent);
    HOLDS(failure->status == response.status);
    return;
  }
  HOLDS(response.status >= 200 && response.status < 300);
  const auto& tokens = std::get<account::TokenSet>(outcome);
  check_tokens(tokens, asked);
  // What it says of itself is believed no further than the bounds of time.
  const auto end = oauth::jwt_expiry(tokens.access_token.expose());
  HOLDS(!end || (*end > WallTime{} - days(800000) && *end <= kWallMax));
}
