#include "tests/fuzz/answers.h"

#include "base/text.h"
#include "daemon/oauth/rate_limit.h"

namespace credsync::fuzz {
namespace {

using provider::ErrorClass;
using provider::Profile;
using provider::RequestKind;

Profile plain() {
  Profile profile;
  profile.id = "plain";
  profile.grants = {provider::Grant::kAuthorizationCode};
  profile.endpoints.token.url = "https://as.example/token";
  profile.endpoints.authorize.url = "https://as.example/authorize";
  return profile;
}

// Tokens in an envelope under names of their own, success said in the body, milliseconds.
Profile enveloped() {
  Profile profile = plain();
  profile.answer.root = "data.0";
  profile.answer.fields = {{"access_token", "accessToken"}, {"expires_in", "validForMillis"}, {"scope", "scopes"}};
  profile.answer.success = provider::SuccessTest{"ok", "true"};
  profile.answer.expires_unit = provider::TimeUnit::kMilliseconds;
  profile.answer.scope_separator = ",";
  profile.answer.keep = {"instance_url", "team.id"};
  profile.errors.code = {"error.code", "errorCode", "error"};
  profile.errors.text = {"error.message", "message"};
  return profile;
}

Profile form_encoded() {
  Profile profile = plain();
  profile.answer.format = provider::AnswerFormat::kForm;
  profile.answer.expires_at = "expires_at";
  profile.answer.default_lifetime = Duration(30min);
  return profile;
}

Profile matched() {
  Profile profile = plain();
  profile.errors.match = {{403, "invalid_grant", std::nullopt, ErrorClass::kNeedsLogin},
                          {std::nullopt, "quota", RequestKind::kRefresh, ErrorClass::kTransient},
                          {400, "", RequestKind::kRevoke, ErrorClass::kNeedsLogin}};
  profile.limits.remaining = "X-RateLimit-Remaining";
  profile.limits.reset = "X-RateLimit-Reset";
  profile.revoke.how = provider::RevokeHow::kDelete;
  return profile;
}

Profile with_limits(provider::ResetMeans means) {
  Profile profile = plain();
  profile.limits.remaining = "RateLimit-Remaining";
  profile.limits.reset = "RateLimit-Reset";
  profile.limits.reset_means = means;
  profile.answer.jwt_expiry = false;
  return profile;
}

int read_status(std::string_view text) {
  int status = 0;
  for (const char c : text)
    status = status * 10 + (c >= '0' && c <= '9' ? c - '0' : 1);
  return 100 + (status + 400) % 500;  // 100 to 599, as the transport lets through; "200" is 200
}

}  // namespace

const std::vector<Profile>& profiles() {
  static const std::vector<Profile> all = {plain(),
                                           enveloped(),
                                           form_encoded(),
                                           matched(),
                                           with_limits(provider::ResetMeans::kDelta),
                                           with_limits(provider::ResetMeans::kEpochMilliseconds)};
  return all;
}

Asking read_asking(Input& input) {
  constexpr RequestKind kKinds[] = {RequestKind::kRefresh,     RequestKind::kCode,
                                    RequestKind::kPassword,    RequestKind::kDevicePoll,
                                    RequestKind::kDeviceStart, RequestKind::kClientCredentials,
                                    RequestKind::kRevoke,      RequestKind::kIntrospect,
                                    RequestKind::kPush,        RequestKind::kAuthorize};
  const Profile& profile = profiles()[input.choice(profiles().size())];
  return {profile, kKinds[input.choice(std::size(kKinds))]};
}

oauth::HttpResponse read_response(Input& input) {
  oauth::HttpResponse response;
  response.status = read_status(input.line().substr(0, 3));
  response.sent_at = kSent;
  response.received_at = kReceived;
  constexpr std::size_t kMostHeaders = 100;  // as the transport lets through
  for (std::string_view line = input.line(); !line.empty(); line = input.line()) {
    const std::size_t colon = line.find(':');
    if (colon == line.npos || response.headers.size() == kMostHeaders) continue;
    std::string value = with_canaries(line.substr(colon + 1));
    value.erase(0, value.find_first_not_of(" \t"));
    if (!oauth::is_header_name(line.substr(0, colon)) || !oauth::is_header_value(value)) continue;
    response.headers.push_back({std::string(line.substr(0, colon)), std::move(value)});
  }
  constexpr std::size_t kMostBody = 64 * 1024;  // as the transport lets through
  std::string body = with_repeats(with_canaries(input.rest()), kMostBody);
  body.resize(std::min(body.size(), kMostBody));
  response.body = WipedString(std::move(body));
  return response;
}

const std::vector<std::string_view>& secrets() {
  static const std::vector<std::string_view> all{kCanary, kOddCanary};
  return all;
}

void check_failure(const oauth::Failure& failure) {
  HOLDS(is_fit_to_show(failure.words));
  HOLDS(is_fit_to_show(failure.code));
  HOLDS(!shows_either_canary(failure.words));
  HOLDS(!shows_either_canary(failure.code));
  HOLDS(failure.words.size() <= kForeignTextLimit);
  HOLDS(!failure.words.empty());
  HOLDS(failure.code.size() <= 64);
  HOLDS(!failure.retry_after ||
        (*failure.retry_after >= Duration::zero() && *failure.retry_after <= oauth::kMaxRetryAfter));
  HOLDS(!to_string(failure.failure_class).empty());
}

}  // namespace credsync::fuzz
