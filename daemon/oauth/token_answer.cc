#include "daemon/oauth/token_answer.h"

#include <algorithm>

#include "daemon/oauth/answer_body.h"
#include "daemon/oauth/error_rules.h"
#include "daemon/oauth/lifetime.h"

namespace credsync::oauth {
namespace {

// Half of the largest answer; the largest known tokens have 8 KiB.
constexpr std::size_t kMaxTokenBytes = 32 * 1024;
constexpr std::size_t kMaxTypeBytes = 64;
constexpr std::size_t kMaxScopes = 256;
constexpr std::size_t kMaxScopeBytes = 512;  // of one scope; they may be URLs
constexpr std::size_t kMaxKeptBytes = 4096;  // of one kept field

// VSCHAR of RFC 6749, appendix A: anything else cannot stand in a header, or was garbled on the way.
bool is_token(std::string_view text) {
  return text.size() <= kMaxTokenBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::string_view string_field(const provider::Answer& rules, const JsonValue& object, std::string_view name) {
  const JsonValue* value = find_field(rules, object, name);
  return value != nullptr && value->kind() == JsonValue::Kind::kString ? value->text() : std::string_view();
}

// Where the tokens are. Some servers answer without the envelope when asked to: then the top is it.
const JsonValue& token_object(const provider::Answer& rules, const JsonValue& answer) {
  const JsonValue* root = answer.at(rules.root);
  return root != nullptr && root->is_object() ? *root : answer;
}

// A field that is not there decides nothing.
bool success_test_fails(const provider::Answer& rules, const JsonValue& answer) {
  const JsonValue* value = rules.success ? answer.at(rules.success->path) : nullptr;
  return value != nullptr && !value->is_null() && value->text() != rules.success->equals;
}

std::string token_type_of(std::string_view told) {
  std::string plain;
  for (const char c : told) {
    if (c >= 'A' && c <= 'Z')
      plain += static_cast<char>(c - 'A' + 'a');
    else if (c != ' ' && c != '_' && c != '-')
      plain += c;
  }
  const bool known = plain.empty() || plain == "bearer" || plain == "bearertoken";
  // What could not stand in a header is not a type.
  return known || !is_header_name(told) || told.size() > kMaxTypeBytes ? "Bearer" : std::string(told);
}

std::vector<std::string> split_scopes(std::string_view text, std::string_view separator) {
  std::vector<std::string> scopes;
  const std::string ends = std::string(separator) + " \t\r\n";  // a scope never holds white space (RFC 6749, 3.3)
  while (!text.empty() && scopes.size() < kMaxScopes) {
    const std::string_view scope = text.substr(0, text.find_first_of(ends));
    text.remove_prefix(std::min(scope.size() + 1, text.size()));
    if (!scope.empty()) scopes.push_back(clean_foreign_text(scope, {}, kMaxScopeBytes));
  }
  return scopes;
}

// Absent, null or empty means as asked (RFC 6749, 5.1).
std::vector<std::string> granted_scopes(const provider::Answer& rules, const JsonValue& object,
                                        const std::vector<std::string>& asked) {
  const JsonValue* value = find_field(rules, object, "scope");
  std::vector<std::string> scopes;
  if (value != nullptr && value->kind() == JsonValue::Kind::kString) {
    scopes = split_scopes(value->text(), rules.scope_separator);
  } else if (value != nullptr && value->kind() == JsonValue::Kind::kArray) {
    for (const JsonValue& item : value->items()) {
      if (item.kind() != JsonValue::Kind::kString || item.text().empty() || scopes.size() == kMaxScopes) continue;
      scopes.push_back(clean_foreign_text(item.text(), {}, kMaxScopeBytes));
    }
  }
  return scopes.empty() ? asked : scopes;
}

std::map<std::string, std::string> kept_fields(const provider::Answer& rules, const JsonValue& answer,
                                               const JsonValue& object) {
  std::map<std::string, std::string> kept;
  for (const std::string& name : rules.keep) {
    const JsonValue* value = object.at(name);
    if (value == nullptr) value = answer.at(name);
    if (value == nullptr || value->text().empty() || value->text().size() > kMaxKeptBytes) continue;
    kept[name] = value->text();
  }
  return kept;
}

std::string subject_of(const provider::Answer& rules, const JsonValue& object, std::string_view id_token) {
  const auto claims = jwt_payload(id_token);
  const JsonValue* subject = claims ? claims->member("sub") : nullptr;
  for (const std::string_view name : {"subject", "user", "user_id"}) {
    if (subject == nullptr || subject->text().empty()) subject = find_field(rules, object, name);
    if (subject != nullptr && subject->is_object()) subject = subject->member("id");
  }
  return subject == nullptr ? std::string() : clean_foreign_text(subject->text(), {}, kMaxSubjectBytes);
}

Failure unusable_token(const HttpResponse& response, std::string_view which) {
  Failure failure;
  failure.failure_class = FailureClass::kNoToken;
  failure.code = "unusable-token";
  failure.words = "the provider sent " + std::string(which) +
                  " that cannot be used: over 32 KiB, or with characters that no "
                  "token has";
  failure.status = response.status;
  failure.sent = true;
  return failure;
}

TokenOutcome read_tokens(const provider::Profile& profile, const HttpResponse& response, const Asked& asked,
                         const JsonValue& answer, const JsonValue& object) {
  const provider::Answer& rules = profile.answer;
  const std::string_view access = string_field(rules, object, "access_token");
  const std::string_view refresh = string_field(rules, object, "refresh_token");
  const std::string_view id = string_field(rules, object, "id_token");
  if (!is_token(access)) return unusable_token(response, "an access token");
  if (!is_token(refresh)) return unusable_token(response, "a refresh token");
  account::TokenSet tokens;
  tokens.access_token = Secret(access);
  tokens.refresh_token = Secret(refresh);
  if (is_token(id)) tokens.id_token = Secret(id);  // nobody needs it: a broken one costs nothing
  tokens.token_type = token_type_of(string_field(rules, object, "token_type"));
  tokens.scope = granted_scopes(rules, object, asked.scopes);
  tokens.obtained_at = response.sent_at;
  tokens.expires_at = access_token_end(profile, response, answer, object, access);
  tokens.refresh_expires_at = refresh_token_end(profile, response, object);
  if (const JsonValue* advice = find_field(rules, object, "refresh_in")) {
    const double seconds = advice->as_number().value_or(0);
    if (seconds > 0) tokens.refresh_in = to_duration(seconds);
  }
  tokens.extra = kept_fields(rules, answer, object);
  tokens.subject = subject_of(rules, object, id);
  return tokens;
}

}  // namespace

TokenOutcome read_token_answer(const provider::Profile& profile, const HttpResponse& response, const Asked& asked) {
  const AnswerBody body = read_answer_body(response, profile.answer.format);
  // A token is taken even beside words of failure: what was rotated away at the provider must not be lost
  // here, and a token that does not work is noticed by whoever uses it. Only the profile's own success test
  // overrules that.
  if (response.status >= 200 && response.status < 300 && body.kind == AnswerBody::Kind::kObject) {
    const JsonValue& object = token_object(profile.answer, body.value);
    const bool has_token = !string_field(profile.answer, object, "access_token").empty();
    if (has_token && !success_test_fails(profile.answer, body.value)) {
      return read_tokens(profile, response, asked, body.value, object);
    }
  }
  return classify_answer(profile, response, body, asked.kind, Redactor(asked.secrets));
}

TokenOutcome read_implicit_answer(const provider::Profile& profile, const JsonValue& fields, WallTime received,
                                  const Asked& asked) {
  provider::Profile plain = profile;
  plain.answer.fields.clear();
  plain.answer.expires_unit = provider::TimeUnit::kSeconds;
  HttpResponse response;
  response.status = 200;
  response.sent_at = received;
  response.received_at = received;
  TokenOutcome outcome = read_tokens(plain, response, asked, fields, fields);
  // RFC 6749, 4.2.2: there must be none. One that went through a browser's address bar is not worth keeping.
  if (auto* tokens = std::get_if<account::TokenSet>(&outcome)) tokens->refresh_token.wipe();
  return outcome;
}

}  // namespace credsync::oauth
