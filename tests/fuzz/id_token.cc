// ID tokens (OpenID Connect Core, 3.1.3.7; RFC 7515): what is accepted is judged once more, by another JSON parser.
//
//   MFF              how it is signed; is an issuer, is a nonce expected
//   {…}              the header, one line
//   {…}              the payload, the rest
//
// M 0: the rest is a token as it is; 1: the signature is not checked; 2: signed with the client's secret; 3: a signature
// that no key made, checked with an issuer's keys.
#include "daemon/oauth/id_token.h"

#include <openssl/hmac.h>

#include <nlohmann/json.hpp>
#include <variant>

#include "base/encoding.h"
#include "base/text.h"
#include "daemon/oauth/jwks.h"
#include "daemon/oauth/lifetime.h"
#include "tests/fuzz/answers.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

constexpr std::string_view kIssuer = "https://as.example";
constexpr std::string_view kClient = "s6BhdRkqt3";
constexpr std::string_view kNonce = "n-0S6_WzA2Mj";
constexpr std::string_view kAccess = "SlAV32hkKG";

// The keys of RFC 7515, A.3, and RFC 8037, A.2.
constexpr std::string_view kKeys = R"({"keys":[
  {"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
  {"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})";

std::string hmac(const EVP_MD* digest, std::string_view input) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  ::HMAC(digest, kCanary.data(), static_cast<int>(kCanary.size()), reinterpret_cast<const unsigned char*>(input.data()),
         input.size(), mac, &size);
  return {reinterpret_cast<const char*>(mac), size};
}

std::string make_token(std::size_t how, Input& input) {
  if (how == 0) return std::string(input.rest());
  const std::string header = encode_base64url(input.line());
  const std::string part = header + "." + encode_base64url(with_canaries(input.rest()));
  const bool hs512 = decode_base64url(header)->find("HS512") != std::string::npos;
  return part + "." +
         encode_base64url(how == 2 ? hmac(hs512 ? EVP_sha512() : EVP_sha256(), part) : std::string(64, 'x'));
}

bool names(const nlohmann::json& audience, std::string_view who) {
  if (audience.is_string()) return audience.get_ref<const std::string&>() == who;
  return audience.is_array() && std::find(audience.begin(), audience.end(), nlohmann::json(who)) != audience.end();
}

void check_claims(std::string_view token, const oauth::IdTokenExpectation& expected,
                  const oauth::IdTokenClaims& claims) {
  const std::size_t first = token.find('.');
  const auto text = decode_base64url(token.substr(first + 1, token.find('.', first + 1) - first - 1));
  HOLDS(text);
  const auto payload = nlohmann::json::parse(*text, nullptr, false);
  if (payload.is_discarded()) return;  // ours mends a defect in a text, this parser refuses it
  HOLDS(payload.is_object() && payload.contains("aud") && payload.contains("exp") && payload.contains("iat"));
  HOLDS(names(payload["aud"], expected.client_id));
  HOLDS(payload.value("iss", "") == claims.issuer && payload.value("sub", "") == claims.subject);
  const double now = static_cast<double>(unix_seconds(expected.now));
  HOLDS(payload["exp"].get<double>() + 121 > now);
  HOLDS(payload["iat"].get<double>() < now + 121);
  HOLDS(expected.nonce.empty() || payload.value("nonce", "") == expected.nonce);
  HOLDS(!payload.contains("azp") || payload.value("azp", "") == expected.client_id);
}

}  // namespace

void run(Input input) {
  static const oauth::KeySet keys = *oauth::KeySet::parse(kKeys);
  const std::size_t how = input.choice(4);
  const bool issuer = input.flag();
  const bool nonce = input.flag();
  const std::vector<std::string> any;
  const std::string token = make_token(how, input);
  const oauth::IdTokenExpectation expected{.issuer = issuer ? kIssuer : std::string_view(),
                                           .client_id = kClient,
                                           .client_secret = how == 2 ? kCanary : std::string_view(),
                                           .algorithms = any,
                                           .keys = how == 0 || how == 3 ? &keys : nullptr,
                                           .nonce = nonce ? kNonce : std::string_view(),
                                           .access_token = kAccess,
                                           .hash_required = false,
                                           .now = kReceived};
  const auto outcome = oauth::check_id_token(token, expected);
  if (const auto* refused = std::get_if<oauth::IdTokenRefused>(&outcome)) {
    HOLDS(is_fit_to_show(refused->words) && !refused->words.empty());
    HOLDS(how != 2 || !shows_canary(refused->words));  // the client's secret there, and only there
  } else {
    HOLDS(how == 1 || how == 2);  // nobody but the issuer and the client can sign
    const auto& claims = std::get<oauth::IdTokenClaims>(outcome);
    HOLDS(!claims.subject.empty() && claims.subject.size() <= 255);
    HOLDS(!issuer || claims.issuer == kIssuer);
    HOLDS(!claims.issuer.empty());
    HOLDS(is_fit_to_show(claims.display) && claims.display.size() <= kForeignTextLimit);
    check_claims(token, expected, claims);
    const auto subject = oauth::subject_of(token);
    HOLDS(subject && subject->subject == claims.subject && subject->issuer == claims.issuer);
    HOLDS(oauth::key_needed(token));
  }
  HOLDS(oauth::same_subject(token, token));
  const auto end = oauth::jwt_expiry(token);
  HOLDS(!end || *end <= kWallMax);
}
