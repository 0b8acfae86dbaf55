#include "daemon/oauth/callback.h"

#include <algorithm>
#include <optional>

#include "base/encoding.h"
#include "daemon/oauth/token_answer.h"
#include "daemon/oauth/words.h"
#include "daemon/provider/url.h"

namespace credsync::oauth {
namespace {

using provider::StateUse;

constexpr std::size_t kMaxParameters = 64;  // real ones have up to ten
constexpr std::size_t kMaxParameterBytes = 4096;
constexpr std::size_t kMaxErrorBytes = 64;

struct Field {
  std::string name;
  WipedString value;
};

class Fields {
 public:
  // Nothing but the reason when it is not a list of parameters: "malformed" or "duplicate".
  static std::variant<Fields, std::string> parse(std::string_view text);

  const std::string* find(std::string_view name) const {
    for (const Field& field : all_) {
      if (field.name == name) return &field.value.text();
    }
    return nullptr;
  }
  std::string_view text(std::string_view name) const {
    const std::string* value = find(name);
    return value != nullptr ? std::string_view(*value) : std::string_view();
  }
  JsonValue as_object() const {
    JsonValue object(JsonValue::Kind::kObject);
    for (const Field& field : all_)
      object.add_member(field.name, JsonValue::string(field.value.text()));
    return object;
  }
  std::vector<std::string_view> values() const {
    std::vector<std::string_view> out;
    for (const Field& field : all_)
      out.push_back(field.value.text());
    return out;
  }

 private:
  std::vector<Field> all_;
};

std::variant<Fields, std::string> Fields::parse(std::string_view text) {
  Fields fields;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = decode_percent(pair.substr(0, equals), true);
    auto value = decode_percent(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value || fields.all_.size() == kMaxParameters) return std::string("malformed");
    if (fields.find(*name) != nullptr) return std::string("duplicate");
    fields.all_.push_back({std::move(*name), WipedString(std::move(*value))});
  }
  return fields;
}

// VSCHAR of RFC 6749, appendix A: a code with anything else did not come from the provider's page.
bool is_visible(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

CallbackRefused refuse(bool foreign, std::string code, std::string words) {
  return {foreign, std::move(code), std::move(words)};
}

// Does it carry our state? Nothing when the profile does not let that be told.
enum class Origin { kOurs, kForeign, kUnknown };
Origin origin_of(const Fields& fields, const CallbackExpectation& expected) {
  const Secret told(fields.text("state"));
  if (expected.state.empty()) return told.empty() ? Origin::kUnknown : Origin::kForeign;
  const bool may_lack = expected.profile->authorize.state == StateUse::kNotEchoed;
  if (told.empty() && may_lack) return Origin::kUnknown;
  return same_secret(told, expected.state) ? Origin::kOurs : Origin::kForeign;
}

// The state and whatever else came along are not for showing.
Redactor redactor_of(const Fields& fields, const CallbackExpectation& expected) {
  std::vector<std::string_view> secrets{expected.state.expose()};
  for (const char* name : {"state", "code", "access_token", "id_token", "refresh_token"})
    secrets.push_back(fields.text(name));
  secrets.push_back(fields.text(expected.profile->authorize.code_parameter));
  return Redactor(secrets);
}

// RFC 9207, 2.4: compared before the code or the error is used, against mix-up.
std::optional<CallbackRefused> check_issuer(const Fields& fields, const CallbackExpectation& expected, bool ours) {
  const std::string* iss = fields.find("iss");
  if (iss == nullptr) {
    if (!expected.iss_required) return std::nullopt;
    return refuse(!ours, "issuer", "the answer does not say which server it is from, though this provider always does");
  }
  if (expected.issuer.empty() || *iss == expected.issuer) return std::nullopt;
  return refuse(!ours, "issuer",
                "the answer is from another server (" +
                    redactor_of(fields, expected).clean(*iss, kForeignTextLimit / 2) +
                    ") than the one that was asked; nothing of it was used");
}

struct Meaning {
  std::string_view code, words;
};
// RFC 6749, 4.1.2.1; OpenID Connect Core, 3.1.2.6.
constexpr Meaning kMeanings[] = {
    {"access_denied", "consent was denied"},
    {"unauthorized_client", "the provider does not allow this client to sign in this way"},
    {"unsupported_response_type", "the provider does not allow this client to sign in this way"},
    {"invalid_scope", "the provider refuses the scopes that were asked for"},
    {"invalid_request", "the provider refuses the request"},
    {"redirect_uri_mismatch", "the redirect URI is not registered at the provider"},
    {"invalid_redirect_uri", "the redirect URI is not registered at the provider"},
    {"server_error", "the provider has a fault"},
    {"temporarily_unavailable", "the provider is busy"},
};

CallbackRefused provider_error(const Fields& fields, const CallbackExpectation& expected) {
  const Redactor redactor = redactor_of(fields, expected);
  CallbackRefused refused;
  refused.code = redactor.clean(fields.text("error"), kMaxErrorBytes);
  std::string_view told = fields.text("error_description");
  if (told.empty()) told = fields.text("error");
  for (const Meaning& meaning : kMeanings) {
    if (meaning.code == refused.code) refused.words = std::string(meaning.words) + ": ";
  }
  refused.words += redactor.clean(told, kForeignTextLimit - refused.words.size());
  if (refused.words.empty()) refused.words = "the provider refuses, and says nothing that can be shown";
  return refused;
}

std::map<std::string, std::string> kept(const Fields& fields, const provider::Authorize& rules) {
  std::map<std::string, std::string> out;
  for (const std::string& name : rules.keep) {
    const std::string_view value = fields.text(name);
    if (is_visible(value) && value.size() <= kMaxParameterBytes) out.emplace(name, value);
  }
  return out;
}

CallbackOutcome read_tokens(const Fields& fields, const CallbackExpectation& expected, bool ours, WallTime received) {
  if (!is_visible(fields.text("access_token"))) {
    return refuse(!ours, "malformed", "the answer holds no access token");
  }
  const std::vector<std::string_view> secrets = fields.values();
  TokenOutcome outcome = read_implicit_answer(*expected.profile, fields.as_object(), received,
                                              {provider::RequestKind::kAuthorize, expected.scopes, secrets});
  if (const auto* failure = std::get_if<Failure>(&outcome)) return refuse(!ours, failure->code, failure->words);
  return CallbackTokens{std::move(std::get<account::TokenSet>(outcome)), kept(fields, expected.profile->authorize)};
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Browsers write the host in lower case, leave out the scheme's own port and give an empty path its slash.
bool is_redirect_address(std::string_view address, std::string_view redirect_uri) {
  const std::string_view registered = redirect_uri.substr(0, redirect_uri.find_first_of("?#"));
  if (address == registered) return true;
  const auto a = provider::parse_url(address);
  const auto b = provider::parse_url(registered);
  return a && b && provider::origin_of(*a) == provider::origin_of(*b) && a->target == b->target;
}

CallbackRefused not_the_address(const CallbackExpectation& expected) {
  return refuse(true, "malformed",
                "this is not the address of an answer; after signing in, copy the whole address that begins with " +
                    clean_foreign_text(expected.redirect_uri, {}, kForeignTextLimit / 2));
}

}  // namespace

CallbackOutcome read_callback(std::string_view parameters, const CallbackExpectation& expected, WallTime received) {
  if (parameters.size() > kMaxCallbackBytes) return refuse(true, "malformed", "the answer is longer than 16 KiB");
  auto parsed = Fields::parse(parameters);
  if (const auto* reason = std::get_if<std::string>(&parsed)) {
    const bool twice = *reason == "duplicate";
    return refuse(true, *reason, twice ? "the answer has a parameter twice" : "the answer is not well-formed");
  }
  const Fields& fields = std::get<Fields>(parsed);
  const Origin origin = origin_of(fields, expected);
  const bool ours = origin == Origin::kOurs;
  if (origin == Origin::kForeign) {
    return refuse(true, "state", "the answer does not belong to this sign-in: its state is missing or another");
  }
  if (auto refused = check_issuer(fields, expected, ours)) return std::move(*refused);
  if (!fields.text("error").empty()) return provider_error(fields, expected);
  if (expected.implicit) return read_tokens(fields, expected, ours, received);
  const std::string_view code = fields.text(expected.profile->authorize.code_parameter);
  if (!is_visible(code)) return refuse(!ours, "malformed", "the answer holds no code");
  return CallbackCode{Secret(code), kept(fields, expected.profile->authorize)};
}

CallbackOutcome read_pasted(std::string_view pasted, const CallbackExpectation& expected, WallTime received) {
  if (pasted.size() > kMaxCallbackBytes) return refuse(true, "malformed", "the address is longer than 16 KiB");
  const std::string_view text = trimmed(pasted);
  const std::size_t mark = text.find_first_of("?#");
  const std::string_view address = text.substr(0, mark);
  if (mark == text.npos) {  // what follows the mark, if it has parameters at all
    const bool bare = address.find('=') != address.npos && address.find("://") == address.npos;
    return bare ? read_callback(text, expected, received) : CallbackOutcome(not_the_address(expected));
  }
  if (mark != 0 && !is_redirect_address(address, expected.redirect_uri)) return not_the_address(expected);
  const std::size_t hash = text.find('#');
  const std::string_view query = text.substr(mark + 1, text[mark] == '#' ? 0 : hash - mark - 1);
  const std::string_view fragment = hash == text.npos ? std::string_view() : text.substr(hash + 1);
  // A code's answer is in the query: what follows it, like Facebook's #_=_, is decoration.
  const bool in_fragment = expected.implicit ? !fragment.empty() : query.empty();
  return read_callback(in_fragment ? fragment : query, expected, received);
}

}  // namespace credsync::oauth
