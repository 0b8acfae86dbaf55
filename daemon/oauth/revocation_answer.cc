// What answers to revocation (RFC 7009) and introspection (RFC 7662) mean.
#include <algorithm>

#include "daemon/oauth/answer_body.h"
#include "daemon/oauth/error_rules.h"
#include "daemon/oauth/lifetime.h"
#include "daemon/oauth/token_answer.h"

namespace credsync::oauth {
namespace {

using provider::RevokeHow;

// Codes by which a server says that the token is no more, which is what was wanted (RFC 7009, 2.2).
constexpr std::string_view kGoneCodes[] = {"invalid_token", "token_revoked", "token_expired", "invalid_auth",
                                           "account_inactive"};

bool is_gone_code(std::string_view code) {
  return std::find(std::begin(kGoneCodes), std::end(kGoneCodes), code) != std::end(kGoneCodes);
}

// The token names what is addressed, or is the proof itself: refused as unknown, it is dead.
bool is_gone_status(RevokeHow how, int status) {
  if (how == RevokeHow::kPath || how == RevokeHow::kDelete) return status == 404;
  return how == RevokeHow::kBearer && status == 401;
}

// Only a rule made for revocation may call a token dead: one made for refreshes says "needs-login" for other
// reasons.
bool has_rule_that_says_gone(const provider::Errors& errors, int status, const std::string& code) {
  for (const provider::ErrorMatch& match : errors.match) {
    const bool fits = match.request == provider::RequestKind::kRevoke && (!match.status || *match.status == status) &&
                      (match.code.empty() || match.code == code);
    if (fits) return match.error_class == provider::ErrorClass::kNeedsLogin;
  }
  return false;
}

// A client that is not accepted (kClient) may be mended by the admin before the token ends, so it is tried
// again, slowly, as often as the queue allows. So is what cannot be told from that: 401 and 403 without a
// word. An answer that cannot be read says nothing about the token. The rest never works.
RevocationResult result_for(const Failure& failure, const AnswerBody& body) {
  switch (failure.failure_class) {
    case FailureClass::kTransient:
    case FailureClass::kAmbiguous:
    case FailureClass::kClient: return RevocationResult::kRetry;
    default: break;
  }
  const bool bare = body.kind == AnswerBody::Kind::kEmpty || body.value.is_empty();
  const bool who = failure.status == 401 || failure.status == 403;
  return bare && who ? RevocationResult::kRetry : RevocationResult::kRefused;
}

}  // namespace

RevocationOutcome read_revocation_answer(const provider::Profile& profile, const HttpResponse& response,
                                         std::span<const std::string_view> secrets) {
  const AnswerBody body = read_answer_body(response, provider::AnswerFormat::kAuto);
  const ProviderError error = find_error(profile.errors, body.value);
  const auto& good = profile.revoke.success;
  const bool success = std::find(good.begin(), good.end(), response.status) != good.end();
  // RFC 7009 has no body on success. One that says it failed is believed; a page is somebody else's answer.
  const bool denied = error.told || body.kind == AnswerBody::Kind::kHtml;
  const bool final_status = success || (response.status >= 400 && response.status < 500 && response.status != 429);
  const bool gone = final_status && body.kind != AnswerBody::Kind::kHtml &&
                    (is_gone_code(error.code) || is_gone_status(profile.revoke.how, response.status) ||
                     has_rule_that_says_gone(profile.errors, response.status, error.code));
  if ((success && !denied) || gone) return {RevocationResult::kDone, {}};

  RevocationOutcome outcome;
  outcome.failure = classify_answer(profile, response, body, provider::RequestKind::kRevoke, Redactor(secrets));
  outcome.result = result_for(outcome.failure, body);
  return outcome;
}

Result<Introspection> read_introspection(const HttpResponse& response) {
  const std::string http = "HTTP " + std::to_string(response.status);
  if (response.status != 200) return unavailable("the introspection endpoint answered " + http);
  const AnswerBody body = read_answer_body(response, provider::AnswerFormat::kJson);
  const JsonValue* active = body.value.member("active");
  if (active == nullptr || active->kind() != JsonValue::Kind::kBool) {
    return invalid("the introspection endpoint did not say whether the token is active");
  }
  Introspection result;
  result.active = active->as_bool() == true;
  const JsonValue* end = body.value.member("exp");
  const auto seconds = end == nullptr ? std::nullopt : end->as_number();
  if (seconds && *seconds > 0) result.expires_at = to_our_clock(WallTime(to_duration(*seconds)), response);
  return result;
}

}  // namespace credsync::oauth
