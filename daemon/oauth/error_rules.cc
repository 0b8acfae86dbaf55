#include "daemon/oauth/error_rules.h"

#include <algorithm>

#include "daemon/oauth/rate_limit.h"
#include "daemon/oauth/token_answer.h"
#include "daemon/provider/url.h"

namespace credsync::oauth {
namespace {

using provider::RequestKind;

constexpr std::size_t kMaxCodeBytes = 64;

// Spellings of RFC 6749 5.2, OpenID Connect Core 3.1.2.6, RFC 8628 3.5, and of servers met in the wild.
struct KnownCode {
  std::string_view code;
  FailureClass failure_class;
};
constexpr KnownCode kKnownCodes[] = {
    {"invalid_grant", FailureClass::kNeedsLogin},
    {"bad_refresh_token", FailureClass::kNeedsLogin},      // GitHub; HubSpot in capitals
    {"invalid_refresh_token", FailureClass::kNeedsLogin},  // Slack
    {"interaction_required", FailureClass::kNeedsLogin},
    {"login_required", FailureClass::kNeedsLogin},
    {"consent_required", FailureClass::kNeedsLogin},
    {"invalid_rapt", FailureClass::kNeedsLogin},  // Google
    {"invalid_client", FailureClass::kClient},
    {"incorrect_client_credentials", FailureClass::kClient},  // GitHub
    {"unauthorized_client", FailureClass::kClient},
    {"invalid_client_id", FailureClass::kClient},  // Slack
    {"bad_client_secret", FailureClass::kClient},  // Slack
    {"invalid_scope", FailureClass::kRefused},
    {"invalid_request", FailureClass::kRefused},
    {"unsupported_grant_type", FailureClass::kRefused},
    {"redirect_uri_mismatch", FailureClass::kRefused},
    {"temporarily_unavailable", FailureClass::kTransient},
    {"server_error", FailureClass::kTransient},
    {"slow_down", FailureClass::kTransient},
    {"authorization_pending", FailureClass::kTransient},
    {"ratelimited", FailureClass::kTransient},          // Slack
    {"service_unavailable", FailureClass::kTransient},  // Slack
    {"internal_error", FailureClass::kTransient},       // Slack
    {"invalid_code", FailureClass::kStartOver},
    {"bad_verification_code", FailureClass::kStartOver},  // GitHub
};
// On a refresh the only token that was sent is the one being refreshed.
constexpr std::string_view kDeadTokenCodes[] = {"invalid_token", "expired_token", "token_expired", "token_revoked"};
constexpr std::string_view kInteractive[] = {"interaction_required", "login_required", "consent_required",
                                             "invalid_rapt"};

// RFC 8628, 3.5; the last is Microsoft's word for access_denied.
constexpr std::string_view kDeviceWaits[] = {"authorization_pending", "slow_down"};
constexpr std::string_view kDeclined = "authorization_declined";
constexpr std::string_view kDeviceEnds[] = {"access_denied", "expired_token", kDeclined};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

template <typename List>
bool is_one_of(const List& list, std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

bool is_success(int status) {
  return status >= 200 && status < 300;
}
bool is_busy(int status) {
  return status == 408 || status == 425 || status == 429 || (status >= 500 && status < 600);
}

// The first of `paths` that holds text or a number. 0 is no error's number.
std::string first_text(const provider::Strings& paths, const JsonValue& body) {
  for (const std::string& path : paths) {
    const JsonValue* value = body.at(path);
    if (value == nullptr || value->text().empty() || value->kind() == JsonValue::Kind::kBool) continue;
    if (value->kind() == JsonValue::Kind::kNumber && value->as_number() == 0.0) continue;
    return std::string(value->text());
  }
  return {};
}

bool says_false(const JsonValue& body, std::string_view name) {
  const JsonValue* value = body.member(name);
  return value != nullptr && value->as_bool() == false;
}

// Withings and its like: HTTP 200, and a status of their own that is not 0. One that repeats HTTP's 2xx is no
// error.
std::string own_status(const JsonValue& body) {
  const JsonValue* value = body.member("status");
  if (value == nullptr || value->kind() != JsonValue::Kind::kNumber) return {};
  const double status = value->as_number().value_or(0);
  return status == 0 || (status >= 200 && status < 300) ? std::string() : std::string(value->text());
}

bool is_bare(const AnswerBody& body) {
  return body.kind == AnswerBody::Kind::kEmpty || (body.kind == AnswerBody::Kind::kObject && body.value.is_empty());
}

// Did a body without tokens call itself a failure? A code that is always there (Flume's) does not say so when
// the profile has a success test and that passed.
bool calls_itself_failed(const provider::Answer& answer, const JsonValue& body, const ProviderError& error) {
  if (error.told) return true;
  const JsonValue* value = answer.success ? body.at(answer.success->path) : nullptr;
  return value != nullptr ? value->text() != answer.success->equals : !error.code.empty();
}

FailureClass class_without_code(const provider::Profile& profile, int status, const AnswerBody& body,
                                const ProviderError& error, RequestKind kind) {
  using Kind = AnswerBody::Kind;
  if (is_success(status)) {
    if (body.kind == Kind::kHtml) return FailureClass::kTransient;    // a captive portal, a firewall
    if (body.kind != Kind::kObject) return FailureClass::kAmbiguous;  // perhaps tokens, cut or garbled on the way
    return calls_itself_failed(profile.answer, body.value, error) ? FailureClass::kRefused : FailureClass::kNoToken;
  }
  if (status < 400 || status >= 500) return FailureClass::kAmbiguous;  // not a final HTTP status that we know
  if (body.kind == Kind::kHtml || body.kind == Kind::kOther) return FailureClass::kTransient;
  const bool either = status == 400 || status == 401 || status == 403;
  return is_bare(body) && either && kind == RequestKind::kRefresh ? FailureClass::kUnclear : FailureClass::kRefused;
}

// In the order of the table: the profile's word, the status, the code, the rest.
FailureClass classify(const provider::Profile& profile, int status, const AnswerBody& body, const ProviderError& error,
                      RequestKind kind) {
  // A page is not the provider's word on anything: a rule that names a status only must not judge a grant by
  // it.
  if (body.kind != AnswerBody::Kind::kHtml) {
    if (const auto match = match_error(profile.errors, status, error.code, kind)) return to_failure_class(*match);
  }
  if (is_busy(status)) return FailureClass::kTransient;
  if (status >= 300 && status < 400) return FailureClass::kRefused;
  if (is_success(status) || (status >= 400 && status < 500)) {
    if (const auto known = class_of_code(error.code, kind)) return *known;
    if (const auto known = class_of_code(error.subtype, kind)) return *known;
  }
  return class_without_code(profile, status, body, error, kind);
}

std::string redirect_words(const HttpResponse& response, const std::string& http, const Redactor& redactor) {
  const auto target = provider::parse_url(response.header("Location"));  // only where to: the rest may hold anything
  const std::string where = target ? " to " + redactor.clean(provider::origin_of(*target), kForeignTextLimit / 2) : "";
  return http + ": the endpoint redirects" + where + "; credentials are never sent elsewhere";
}

std::string said_by(const ProviderError& error, const Redactor& redactor, std::size_t limit) {
  const bool both = !error.code.empty() && !error.text.empty() && error.code != error.text;
  return redactor.clean(both ? error.code + ": " + error.text : error.code.empty() ? error.text : error.code, limit);
}

std::string words_for(const Failure& failure, const HttpResponse& response, const AnswerBody& body,
                      const ProviderError& error, const Redactor& redactor) {
  const std::string http = "HTTP " + std::to_string(response.status);
  if (response.status >= 300 && response.status < 400) return redirect_words(response, http, redactor);
  if (is_one_of(kInteractive, lower(error.code)) || is_one_of(kInteractive, lower(error.subtype))) {
    const std::string hint = "the provider asks for an interactive sign-in: ";
    return hint + said_by(error, redactor, kForeignTextLimit - hint.size());
  }
  if (failure.failure_class == FailureClass::kNoToken) return http + " without an access token";
  if (std::string said = said_by(error, redactor, kForeignTextLimit); !said.empty()) return said;
  switch (failure.failure_class) {
    case FailureClass::kUnclear:
      return http + " with an empty body: the grant is dead, or client_id or client_secret is wrong";
    case FailureClass::kAmbiguous: return http + ", but the answer is cut or cannot be read";
    default: break;
  }
  if (is_busy(response.status)) return http;
  if (body.kind == AnswerBody::Kind::kHtml) {
    return http + " with a web page instead of an answer: a captive portal or firewall may stand between";
  }
  if (body.kind == AnswerBody::Kind::kOther) return http + " with an answer that is not JSON";
  return error.told ? http + ", and the body says that the request failed" : http + " without a reason";
}

// Whoever polls decides by the code: in the RFC's spelling where it is one of its codes.
std::string polling_code(const std::string& code) {
  const std::string word = lower(code);
  if (word == kDeclined) return "access_denied";
  return is_one_of(kDeviceWaits, word) || is_one_of(kDeviceEnds, word) ? word : code;
}

}  // namespace

ProviderError find_error(const provider::Errors& errors, const JsonValue& body) {
  ProviderError found;
  found.code = first_text(errors.code, body);
  if (found.code.empty()) found.code = first_text({"error"}, body);
  found.text = first_text(errors.text, body);
  if (found.text.empty()) found.text = first_text({"error_description"}, body);
  found.subtype = first_text({"error_subtype"}, body);
  const JsonValue* error = body.member("error");
  const bool has_error = error != nullptr && !error->is_empty() && error->as_bool() != false;
  found.told = has_error || says_false(body, "ok") || says_false(body, "success") || !own_status(body).empty();
  if (found.code.empty()) found.code = own_status(body);
  return found;
}

std::optional<provider::ErrorClass> match_error(const provider::Errors& errors, int status, const std::string& code,
                                                RequestKind kind) {
  for (const provider::ErrorMatch& match : errors.match) {
    const bool fits = (!match.status || *match.status == status) && (match.code.empty() || match.code == code) &&
                      (!match.request || *match.request == kind);
    if (fits) return match.error_class;
  }
  return std::nullopt;
}

FailureClass to_failure_class(provider::ErrorClass c) {
  switch (c) {
    case provider::ErrorClass::kTransient: return FailureClass::kTransient;
    case provider::ErrorClass::kNeedsLogin: return FailureClass::kNeedsLogin;
    case provider::ErrorClass::kClient: return FailureClass::kClient;
    case provider::ErrorClass::kRefused: return FailureClass::kRefused;
    case provider::ErrorClass::kStartOver: return FailureClass::kStartOver;
  }
  return FailureClass::kTransient;
}

std::optional<FailureClass> class_of_code(std::string_view code, RequestKind kind) {
  const std::string word = lower(code);
  const bool signing_in = kind == RequestKind::kCode || kind == RequestKind::kDevicePoll;
  if (signing_in && is_one_of(kDeviceEnds, word)) return FailureClass::kStartOver;
  if (kind == RequestKind::kRefresh && is_one_of(kDeadTokenCodes, word)) return FailureClass::kNeedsLogin;
  for (const KnownCode& known : kKnownCodes) {
    if (known.code != word) continue;
    // No person can mend that by signing in: the assertion or the client is wrong.
    const bool without_user =
        kind == RequestKind::kClientCredentials && known.failure_class == FailureClass::kNeedsLogin;
    return without_user ? FailureClass::kRefused : known.failure_class;
  }
  return std::nullopt;
}

Failure classify_answer(const provider::Profile& profile, const HttpResponse& response, const AnswerBody& body,
                        RequestKind kind, const Redactor& redactor) {
  const ProviderError error = find_error(profile.errors, body.value);
  Failure failure;
  failure.failure_class = classify(profile, response.status, body, error, kind);
  failure.status = response.status;
  failure.sent = true;
  failure.code = redactor.clean(error.code, kMaxCodeBytes);
  if (kind == RequestKind::kDevicePoll) failure.code = polling_code(failure.code);
  failure.words = words_for(failure, response, body, error, redactor);
  failure.retry_after = retry_after(response, profile.limits);
  failure.rate_limited =
      response.status == 429 || lower(error.code) == "ratelimited" || limit_used_up(response, profile.limits);
  return failure;
}

}  // namespace credsync::oauth
