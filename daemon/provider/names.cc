#include "daemon/provider/names.h"

#include <algorithm>

namespace credsync::provider {

std::span<const Named<Encoding>> names_of(Encoding) {
  using enum Encoding;
  static constexpr Named<Encoding> kNames[] = {
      {kForm, "form"}, {kJson, "json"}, {kQuery, "query"}, {kMultipart, "multipart"}};
  return kNames;
}

std::span<const Named<ClientAuth>> names_of(ClientAuth) {
  using enum ClientAuth;
  static constexpr Named<ClientAuth> kNames[] = {{kNone, "none"},
                                                 {kBasic, "basic"},
                                                 {kPost, "post"},
                                                 {kPrivateKeyJwt, "private_key_jwt"},
                                                 {kClientSecretJwt, "client_secret_jwt"},
                                                 {kTls, "tls"}};
  return kNames;
}

std::span<const Named<Grant>> names_of(Grant) {
  using enum Grant;
  static constexpr Named<Grant> kNames[] = {{kAuthorizationCode, "authorization_code"},
                                            {kImplicit, "implicit"},
                                            {kDeviceCode, "device_code"},
                                            {kPassword, "password"},
                                            {kClientCredentials, "client_credentials"},
                                            {kRefreshToken, "refresh_token"},
                                            {kStatic, "static"}};
  return kNames;
}

std::span<const Named<RequestKind>> names_of(RequestKind) {
  using enum RequestKind;
  static constexpr Named<RequestKind> kNames[] = {{kAuthorize, "authorize"},
                                                  {kCode, "code"},
                                                  {kRefresh, "refresh"},
                                                  {kPassword, "password"},
                                                  {kClientCredentials, "client_credentials"},
                                                  {kDeviceStart, "device_start"},
                                                  {kDevicePoll, "device_poll"},
                                                  {kRevoke, "revoke"},
                                                  {kIntrospect, "introspect"},
                                                  {kPush, "push"}};
  return kNames;
}

std::span<const Named<BasicEncoding>> names_of(BasicEncoding) {
  static constexpr Named<BasicEncoding> kNames[] = {{BasicEncoding::kForm, "form"}, {BasicEncoding::kRaw, "raw"}};
  return kNames;
}

std::span<const Named<Pkce>> names_of(Pkce) {
  static constexpr Named<Pkce> kNames[] = {{Pkce::kS256, "S256"}, {Pkce::kPlain, "plain"}, {Pkce::kOff, "off"}};
  return kNames;
}

std::span<const Named<StateUse>> names_of(StateUse) {
  using enum StateUse;
  static constexpr Named<StateUse> kNames[] = {{kRequired, "required"}, {kNotEchoed, "not-echoed"}, {kOff, "off"}};
  return kNames;
}

std::span<const Named<RedirectPort>> names_of(RedirectPort) {
  static constexpr Named<RedirectPort> kNames[] = {{RedirectPort::kAny, "any"}, {RedirectPort::kExact, "exact"}};
  return kNames;
}

std::span<const Named<AnswerFormat>> names_of(AnswerFormat) {
  using enum AnswerFormat;
  static constexpr Named<AnswerFormat> kNames[] = {{kJson, "json"}, {kForm, "form"}, {kAuto, "auto"}};
  return kNames;
}

std::span<const Named<TimeUnit>> names_of(TimeUnit) {
  static constexpr Named<TimeUnit> kNames[] = {{TimeUnit::kSeconds, "seconds"},
                                               {TimeUnit::kMilliseconds, "milliseconds"}};
  return kNames;
}

std::span<const Named<RefreshHow>> names_of(RefreshHow) {
  using enum RefreshHow;
  static constexpr Named<RefreshHow> kNames[] = {{kRefreshToken, "refresh_token"},
                                                 {kGrantAgain, "grant-again"},
                                                 {kAccessToken, "access_token"},
                                                 {kNever, "never"}};
  return kNames;
}

std::span<const Named<Rotation>> names_of(Rotation) {
  using enum Rotation;
  static constexpr Named<Rotation> kNames[] = {
      {kNone, "none"}, {kAlways, "always"}, {kSometimes, "sometimes"}, {kUnknown, "unknown"}};
  return kNames;
}

std::span<const Named<RevokeHow>> names_of(RevokeHow) {
  using enum RevokeHow;
  static constexpr Named<RevokeHow> kNames[] = {{kNone, "none"},     {kRfc7009, "rfc7009"}, {kGet, "get"},
                                                {kDelete, "delete"}, {kPath, "path"},       {kBearer, "bearer"}};
  return kNames;
}

std::span<const Named<Cascade>> names_of(Cascade) {
  using enum Cascade;
  static constexpr Named<Cascade> kNames[] = {{kNone, "none"}, {kGrant, "grant"}, {kUnknown, "unknown"}};
  return kNames;
}

std::span<const Named<ErrorClass>> names_of(ErrorClass) {
  using enum ErrorClass;
  static constexpr Named<ErrorClass> kNames[] = {{kTransient, "transient"},
                                                 {kNeedsLogin, "needs-login"},
                                                 {kClient, "client"},
                                                 {kRefused, "refused"},
                                                 {kStartOver, "start-over"}};
  return kNames;
}

std::span<const Named<ResetMeans>> names_of(ResetMeans) {
  using enum ResetMeans;
  static constexpr Named<ResetMeans> kNames[] = {{kGuess, "guess"},
                                                 {kDelta, "delta"},
                                                 {kEpochSeconds, "epoch-seconds"},
                                                 {kEpochMilliseconds, "epoch-milliseconds"}};
  return kNames;
}

bool is_said(const Profile& profile, std::string_view key) {
  return std::any_of(profile.facts.begin(), profile.facts.end(), [&](const Fact& fact) {
    return fact.key.starts_with(key) && (fact.key.size() == key.size() || fact.key[key.size()] == '.');
  });
}

}  // namespace credsync::provider
