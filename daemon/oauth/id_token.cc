#include "daemon/oauth/id_token.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/text.h"
#include "daemon/oauth/jose.h"
#include "daemon/oauth/json_value.h"
#include "daemon/oauth/jwks.h"
#include "daemon/oauth/lifetime.h"
#include "daemon/oauth/words.h"

namespace credsync::oauth {
namespace {

constexpr std::size_t kMaxIdTokenBytes = 32 * 1024;  // as much as an answer may hold of one token
constexpr std::size_t kMaxSubBytes = 255;            // OpenID Connect Core, 2
constexpr std::size_t kMaxAudiences = 64;
constexpr std::size_t kMaxShown = kForeignTextLimit / 2;

// A JWS in compact form (RFC 7515, 7.1), taken apart. Views into the token.
struct Compact {
  std::string_view signed_part;  // header.payload
  std::string signature;
  JsonValue header, payload;
};

IdTokenRefused refuse(IdTokenFault fault, std::string words) {
  return {fault, "the ID token is not to be believed: " + std::move(words)};
}

std::optional<std::string> segment(std::string_view text) {
  if (text.find('=') != text.npos) return std::nullopt;  // RFC 7515, 2: never padded
  return decode_base64url(text);
}

std::optional<JsonValue> object_in(std::string_view text) {
  auto decoded = segment(text);
  if (!decoded) return std::nullopt;
  const WipedString json(std::move(*decoded));
  auto value = JsonValue::parse(json.text());
  return value && value->is_object() ? std::move(value) : std::nullopt;
}

std::optional<Compact> take_apart(std::string_view token) {
  if (token.size() > kMaxIdTokenBytes) return std::nullopt;
  const std::size_t first = token.find('.');
  const std::size_t second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos) return std::nullopt;
  auto header = object_in(token.substr(0, first));
  auto payload = object_in(token.substr(first + 1, second - first - 1));
  auto signature = segment(token.substr(second + 1));
  if (!header || !payload || !signature) return std::nullopt;
  if (header->member("crit") != nullptr) return std::nullopt;  // RFC 7515, 4.1.11: we know no extension
  return Compact{token.substr(0, second), std::move(*signature), std::move(*header), std::move(*payload)};
}

const Algorithm* allowed_algorithm(std::string_view name, const IdTokenExpectation& expected) {
  const auto& list = expected.algorithms;
  const bool listed = list.empty() || std::find(list.begin(), list.end(), name) != list.end();
  return listed ? find_algorithm(name) : nullptr;
}

std::optional<IdTokenRefused> check_signature(const Compact& jws, const Algorithm& algorithm,
                                              const IdTokenExpectation& expected) {
  if (algorithm.family == Algorithm::Family::kHmac) {  // 3.1.3.7 (8): the client's secret, never a public key
    if (expected.client_secret.empty())
      return refuse(IdTokenFault::kAlgorithm, "it is signed with a client secret, and this client has none");
    if (verify_mac(algorithm, expected.client_secret, jws.signed_part, jws.signature)) return std::nullopt;
    return refuse(IdTokenFault::kSignature, "its signature is wrong");
  }
  if (expected.keys == nullptr) return std::nullopt;
  switch (expected.keys->verify(algorithm, text_of(jws.header, "kid"), jws.signed_part, jws.signature)) {
    case KeySet::Check::kGood: return std::nullopt;
    case KeySet::Check::kBad: return refuse(IdTokenFault::kSignature, "its signature is wrong");
    case KeySet::Check::kNoKey: break;
  }
  return refuse(IdTokenFault::kUnknownKey, "it is signed with a key that the issuer does not publish");
}

std::vector<std::string_view> audiences(const JsonValue& payload) {
  const JsonValue* value = payload.member("aud");
  if (value == nullptr) return {};
  if (value->kind() == JsonValue::Kind::kString) return {value->text()};
  std::vector<std::string_view> out;
  for (const JsonValue& item : value->items()) {
    if (value->kind() != JsonValue::Kind::kArray || item.kind() != JsonValue::Kind::kString) return {};
    if (out.size() == kMaxAudiences) return {};
    out.push_back(item.text());
  }
  return out;
}

// What a token says, for people: without the secrets it may repeat.
std::string shown(std::string_view told, const IdTokenExpectation& expected) {
  const std::array secrets{expected.client_secret, expected.nonce, expected.access_token};
  return Redactor(secrets).clean(told, kMaxShown);
}

std::optional<IdTokenRefused> check_parties(const JsonValue& payload, const IdTokenExpectation& expected) {
  const std::string_view issuer = text_of(payload, "iss");
  if (issuer.empty() || (!expected.issuer.empty() && issuer != expected.issuer))
    return refuse(IdTokenFault::kIssuer, "it is from another issuer (" + shown(issuer, expected) + ")");
  const auto audience = audiences(payload);
  if (std::find(audience.begin(), audience.end(), expected.client_id) == audience.end())
    return refuse(IdTokenFault::kAudience, "it is for another client");
  const JsonValue* party = payload.member("azp");
  if ((party != nullptr || audience.size() > 1) && text_of(payload, "azp") != expected.client_id)
    return refuse(IdTokenFault::kAudience, "it was issued to another client");
  return std::nullopt;
}

std::optional<WallTime> moment(const JsonValue& payload, std::string_view name) {
  const JsonValue* value = payload.member(name);
  if (value == nullptr || value->kind() != JsonValue::Kind::kNumber) return std::nullopt;
  const auto seconds = value->as_number();
  if (!seconds || !(*seconds > 0)) return std::nullopt;
  return WallTime(to_duration(*seconds));
}

std::optional<IdTokenRefused> check_times(const JsonValue& payload, WallTime now) {
  const auto ends = moment(payload, "exp");
  const auto issued = moment(payload, "iat");
  if (!ends || !issued) return refuse(IdTokenFault::kTime, "it does not say when it was issued and when it ends");
  if (saturating_add(*ends, kIdTokenLeeway) <= now) {
    return refuse(IdTokenFault::kTime, "it ended at " + to_rfc3339(*ends) + "; is the clock of this machine right?");
  }
  const bool has_start = payload.member("nbf") != nullptr;
  const auto start = has_start ? moment(payload, "nbf") : issued;
  const WallTime latest = saturating_add(now, kIdTokenLeeway);
  if (!start || *issued > latest || *start > latest) {
    return refuse(IdTokenFault::kTime,
                  "it is from the future (" + to_rfc3339(*issued) + "); is the clock of this machine right?");
  }
  return std::nullopt;
}

// 3.1.3.6: the left half of the access token's hash.
std::string half_hash(const Algorithm& algorithm, std::string_view access_token) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(access_token.data(), access_token.size(), digest.data(), &size, algorithm.digest(), nullptr);
  return encode_base64url({reinterpret_cast<const char*>(digest.data()), size / 2});
}

std::optional<IdTokenRefused> check_bindings(const JsonValue& payload, const Algorithm& algorithm,
                                             const IdTokenExpectation& expected) {
  if (!expected.nonce.empty() && !same_secret(Secret(text_of(payload, "nonce")), Secret(expected.nonce)))
    return refuse(IdTokenFault::kNonce, "it does not belong to this sign-in");
  const JsonValue* hash = payload.member("at_hash");
  if (hash == nullptr && !expected.hash_required) return std::nullopt;
  // With Ed448 the hash would be SHAKE256's, which nobody has been seen to use: refused rather than guessed.
  if (text_of(payload, "at_hash") == half_hash(algorithm, expected.access_token)) return std::nullopt;
  return refuse(IdTokenFault::kHash, "it was issued with another access token");
}

std::string display_of(const JsonValue& payload) {
  for (const char* name : {"email", "preferred_username", "name"}) {
    std::string shown = clean_foreign_text(text_of(payload, name));
    if (!shown.empty()) return shown;
  }
  return {};
}

}  // namespace

std::variant<IdTokenClaims, IdTokenRefused> check_id_token(std::string_view token, const IdTokenExpectation& expected) {
  const auto jws = take_apart(token);
  if (!jws) return refuse(IdTokenFault::kMalformed, "it is not a signed JWT");
  const Algorithm* algorithm = allowed_algorithm(text_of(jws->header, "alg"), expected);
  if (algorithm == nullptr) {
    return refuse(IdTokenFault::kAlgorithm,
                  "it is signed with `" + shown(text_of(jws->header, "alg"), expected) + "`, which is not allowed");
  }
  if (auto refused = check_signature(*jws, *algorithm, expected)) return std::move(*refused);
  if (auto refused = check_parties(jws->payload, expected)) return std::move(*refused);
  if (auto refused = check_times(jws->payload, expected.now)) return std::move(*refused);
  if (auto refused = check_bindings(jws->payload, *algorithm, expected)) return std::move(*refused);
  const std::string_view subject = text_of(jws->payload, "sub");
  if (subject.empty() || subject.size() > kMaxSubBytes)
    return refuse(IdTokenFault::kMalformed, "it does not say who signed in");
  return IdTokenClaims{std::string(text_of(jws->payload, "iss")), std::string(subject), display_of(jws->payload)};
}

std::optional<IdTokenKey> key_needed(std::string_view token) {
  const auto jws = take_apart(token);
  const Algorithm* algorithm = jws ? find_algorithm(text_of(jws->header, "alg")) : nullptr;
  if (algorithm == nullptr) return std::nullopt;
  return algorithm->family == Algorithm::Family::kHmac ? IdTokenKey::kClientSecret : IdTokenKey::kIssuers;
}

std::optional<Subject> subject_of(std::string_view id_token) {
  const auto payload = jwt_payload(id_token);
  if (!payload || text_of(*payload, "sub").empty()) return std::nullopt;
  return Subject{std::string(text_of(*payload, "iss")), std::string(text_of(*payload, "sub"))};
}

bool same_subject(std::string_view before, std::string_view after) {
  const auto old_one = subject_of(before);
  const auto new_one = subject_of(after);
  return !old_one || !new_one || *old_one == *new_one;
}

}  // namespace credsync::oauth
