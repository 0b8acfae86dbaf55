// A provider profile: an authorization server and how it deviates from the RFCs, as data. No provider has
// code. Plain values, immutable once loaded, shared by every account of the provider; safe to read on any
// thread. The TOML keys are those of credsyncd.toml(5), section PROVIDERS; defaults below are what the RFCs
// say.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace credsync::provider {

enum class Encoding { kForm, kJson, kQuery, kMultipart };
enum class ClientAuth { kNone, kBasic, kPost, kPrivateKeyJwt, kClientSecretJwt, kTls };
enum class Grant { kAuthorizationCode, kImplicit, kDeviceCode, kPassword, kClientCredentials, kRefreshToken, kStatic };

// What a request is for. Parameters can be set, renamed or left out for each.
enum class RequestKind {
  kAuthorize,
  kCode,
  kRefresh,
  kPassword,
  kClientCredentials,
  kDeviceStart,
  kDevicePoll,
  kRevoke,
  kIntrospect,
  kPush,
};

using Strings = std::vector<std::string>;
using StringMap = std::map<std::string, std::string>;

// A template variable, written {name} in URLs and parameters; the account's `vars` give it a value.
struct Variable {
  std::string pattern;                  // an anchored regular expression (ECMAScript); empty: [A-Za-z0-9][A-Za-z0-9.-]*
  Strings allowed;                      // "enum": if not empty, one of these
  std::optional<std::string> fallback;  // "default"
};

struct Endpoint {
  std::string url;  // a template; empty: there is none
  std::string method = "POST";
  Encoding encoding = Encoding::kForm;
  StringMap headers;  // besides Accept: application/json and our User-Agent, which they may replace
};

struct Endpoints {
  Endpoint authorize, token, refresh /* empty: the token endpoint */, revoke, device, introspect, userinfo, push, jwks;
};

enum class BasicEncoding { kForm, kRaw };  // RFC 6749, 2.3.1 form-encodes before Basic; some servers need it raw

struct Client {
  std::vector<ClientAuth> auth = {
      ClientAuth::kBasic};  // the first is used unless the account has no secret: then kNone if listed
  BasicEncoding basic_encoding = BasicEncoding::kForm;
  std::string assertion_audience;  // empty: the token endpoint's URL (RFC 7523, 3)
  std::string signing_algorithm;   // for the JWT kinds; empty: RS256, ES256 by the key's type, or HS256
};

struct Parameters {
  StringMap set;           // values are templates
  StringMap rename;        // standard name -> theirs
  Strings omit;            // standard names not sent
  bool drop_empty = true;  // parameters with an empty value are not sent
};

enum class Pkce { kS256, kPlain, kOff };
enum class StateUse { kRequired, kNotEchoed, kOff };
enum class RedirectPort { kAny, kExact };

struct Authorize {
  Pkce pkce = Pkce::kS256;
  StateUse state = StateUse::kRequired;
  bool nonce = false;
  std::string scope_separator = " ";
  std::string scope_parameter = "scope";
  std::string code_parameter = "code";  // its name in the callback
  Strings keep;                         // callback fields to keep (allow-list): realmId
  RedirectPort redirect_port = RedirectPort::kAny;
  std::string redirect_path = "/callback";
  bool iss_required = false;   // callbacks name the issuer (RFC 9207); one that does not is refused
  bool push_required = false;  // parameters are pushed first (RFC 9126)
  Strings offered_challenges;  // code challenge methods of the metadata; empty: it does not say. Not in any file
};

enum class AnswerFormat { kJson, kForm, kAuto /* by Content-Type, then by looking */ };
enum class TimeUnit { kSeconds, kMilliseconds };

// A test on the parsed answer: the value at `path`, written as text, equals `equals` ("true", "0", "ok").
struct SuccessTest {
  std::string path;
  std::string equals;
};

struct Answer {
  AnswerFormat format = AnswerFormat::kAuto;
  std::string root;                    // dotted path to the token object: "data.0"; empty: the top
  StringMap fields;                    // standard name -> dotted path below the root: {"access_token": "accessToken"}
  std::optional<SuccessTest> success;  // tested at the top, before the root is taken
  Strings keep;                        // extra fields handed to callers: instance_url
  TimeUnit expires_unit = TimeUnit::kSeconds;
  std::string expires_at;  // dotted path of a declared absolute end (epoch s or ms by size, or RFC 3339)
  std::optional<Duration> default_lifetime;
  bool jwt_expiry = true;             // the access token's own `exp` may be read if it is a JWT
  bool introspect_expiry = false;     // ask the introspection endpoint when nothing else told
  std::string scope_separator = " ";  // in the answer's scope
  Strings id_token_algorithms;        // that ID tokens may be signed with; empty: all that are safe
};

enum class RefreshHow { kRefreshToken, kGrantAgain, kAccessToken, kNever };
enum class Rotation { kNone, kAlways, kSometimes, kUnknown };

struct Refresh {
  RefreshHow how = RefreshHow::kRefreshToken;
  Rotation rotation = Rotation::kUnknown;  // unknown counts as always
  std::optional<Duration> overlap;         // old refresh token works on for this long; unset: unknown, counts as 0
  std::optional<Duration> access_overlap;  // 0: a refresh kills the access token in callers' hands; unset: it lives on
  std::optional<Duration> idle_life;       // of the refresh token, unused
  std::optional<Duration> absolute_life;   // of the refresh token, from sign-in
  bool send_scope = false;                 // RFC 6749, 6: optional; most servers want it left out
};

enum class RevokeHow { kNone, kRfc7009, kGet, kDelete, kPath, kBearer };
enum class Cascade { kNone, kGrant, kUnknown };

struct Revoke {
  RevokeHow how = RevokeHow::kNone;  // kRfc7009 when endpoints.revoke is given and nothing else said
  std::optional<ClientAuth> auth;    // unset: as at the token endpoint
  bool access_tokens = true;         // which kinds the endpoint takes
  bool refresh_tokens = true;
  bool hint = true;                            // send token_type_hint
  Cascade access_cascade = Cascade::kUnknown;  // what else dies when an access token is revoked
  Cascade refresh_cascade = Cascade::kUnknown;
  std::vector<int> success = {200};
};

// The classes of facts the failure table speaks of; see oauth/failure.h for what each leads to.
enum class ErrorClass { kTransient, kNeedsLogin, kClient, kRefused, kStartOver };

struct ErrorMatch {
  std::optional<int> status;
  std::string code;                    // compared with the code found; empty: any
  std::optional<RequestKind> request;  // only for this kind of request
  ErrorClass error_class = ErrorClass::kTransient;
};

struct Errors {
  Strings code = {"error"};  // dotted paths, first that holds text or a number wins
  Strings text = {"error_description", "message"};
  std::vector<ErrorMatch> match;  // first match wins, before the general rules
};

enum class ResetMeans { kGuess, kDelta, kEpochSeconds, kEpochMilliseconds };

struct Limits {
  std::string remaining;  // header names; empty: none
  std::string reset;
  ResetMeans reset_means = ResetMeans::kGuess;
  std::optional<double> requests_per_second;  // per token endpoint and client
};

struct Delivery {
  std::string header = "Authorization";
  std::string prefix = "Bearer ";
};

// Where one fact comes from, for `credsync providers NAME`.
struct Fact {
  std::string key;    // "endpoints.token.url"
  std::string value;  // as written in TOML
  std::string file;
  unsigned line = 0;
  std::string source;  // the document it was taken from, if the profile says
};

struct Profile {
  std::string id;
  std::string title;
  std::string docs;           // link
  std::vector<Grant> grants;  // what the server offers
  std::map<std::string, Variable> vars;
  std::string issuer;  // a template; discovery by RFC 8414 / OIDC; fixed fields override it
  Endpoints endpoints;
  Client client;
  std::map<RequestKind, Parameters> parameters;
  Authorize authorize;
  Answer answer;
  Refresh refresh;
  Revoke revoke;
  Errors errors;
  Limits limits;
  Delivery delivery;
  std::vector<Fact> facts;
};

}  // namespace credsync::provider
