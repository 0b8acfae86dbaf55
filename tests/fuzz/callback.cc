// Where a browser comes back with an answer, and what a person pastes (RFC 6749, 4.1.2 and 4.2.2; RFC 9207): nothing is
// believed that does not carry our state, nothing secret is shown.
#include "daemon/oauth/callback.h"

#include <variant>

#include "base/text.h"
#include "daemon/oauth/authorize_request.h"
#include "tests/fuzz/answers.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

constexpr std::string_view kState = kCanary;
constexpr std::string_view kIssuer = "https://as.example";

// How the state may travel in a query.
bool carries_state(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto hex = [&](char c) {
      return c >= '0' && c <= '9'   ? c - '0'
             : c >= 'a' && c <= 'f' ? c - 'a' + 10
             : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                    : -1;
    };
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      plain += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      plain += text[i] == '+' ? ' ' : text[i];
    }
  }
  return plain.find(kState) != plain.npos;
}

void check_refused(const oauth::CallbackRefused& refused, bool state_sent) {
  HOLDS(is_fit_to_show(refused.words) && is_fit_to_show(refused.code));
  // Where no state is sent the canary is nobody's secret.
  HOLDS(!state_sent || (!shows_canary(refused.words) && !shows_canary(refused.code)));
  HOLDS(!refused.words.empty() && refused.words.size() <= 2 * kForeignTextLimit);
  HOLDS(refused.code.size() <= 64);
}

void check_kept(const std::map<std::string, std::string>& kept) {
  for (const auto& [name, value] : kept) {
    HOLDS(name == "realmId");
    HOLDS(value.size() <= 4096 && is_fit_to_show(value));
  }
}

}  // namespace

void run(Input input) {
  provider::Profile profile = profiles().front();
  profile.authorize.keep = {"realmId"};
  constexpr provider::StateUse kUses[] = {provider::StateUse::kRequired, provider::StateUse::kNotEchoed,
                                          provider::StateUse::kOff};
  profile.authorize.state = kUses[input.choice(3)];
  oauth::CallbackExpectation expected;
  expected.profile = &profile;
  expected.implicit = input.flag();
  if (profile.authorize.state != provider::StateUse::kOff) expected.state = Secret(kState);
  const bool issuer = input.flag(), required = input.flag();
  if (issuer) expected.issuer = kIssuer;
  expected.iss_required = issuer && required;
  expected.redirect_uri = "http://127.0.0.1:4711/callback";
  expected.scopes = {"scores"};
  const bool pasted = input.flag();
  const std::string text = with_repeats(with_canaries(input.rest()), 2 * oauth::kMaxCallbackBytes);
  const auto outcome =
      pasted ? oauth::read_pasted(text, expected, kReceived) : oauth::read_callback(text, expected, kReceived);
  if (const auto* refused = std::get_if<oauth::CallbackRefused>(&outcome))
    return check_refused(*refused, !expected.state.empty());
  HOLDS(text.size() <= oauth::kMaxCallbackBytes);
  HOLDS(profile.authorize.state != provider::StateUse::kRequired || carries_state(text));
  if (const auto* code = std::get_if<oauth::CallbackCode>(&outcome)) {
    HOLDS(!expected.implicit && !code->code.empty());
    HOLDS(is_fit_to_show(code->code.expose()));
    check_kept(code->kept);
  } else {
    const auto& tokens = std::get<oauth::CallbackTokens>(outcome);
    HOLDS(expected.implicit && !tokens.tokens.access_token.empty() && tokens.tokens.refresh_token.empty());
    HOLDS(!tokens.tokens.expires_at || *tokens.tokens.expires_at >= kReceived);
    check_kept(tokens.kept);
  }
}
