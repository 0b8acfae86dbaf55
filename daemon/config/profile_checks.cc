#include "daemon/config/profile_checks.h"

#include <algorithm>

#include "daemon/provider/names.h"
#include "daemon/provider/pattern.h"
#include "daemon/provider/template.h"
#include "daemon/provider/url.h"

namespace credsync::config {
namespace {

using provider::Grant;
using provider::Profile;

bool is_token_character(char c) {  // RFC 9110, 5.6.2
  const bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return alnum || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_header_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), is_token_character);
}

bool same_without_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

class ProfileChecks {
 public:
  ProfileChecks(const Profile& profile, const Node& tree, Problems& problems)
      : profile_(profile), tree_(tree), problems_(problems) {}

  void all() {
    variables();
    for (const NamedEndpoint& one : endpoints_of(profile_))
      endpoint("endpoints." + std::string(one.name), *one.endpoint);
    if (!profile_.issuer.empty()) url("issuer", profile_.issuer, false);
    parameters();
    grants();
    client();
    sign_in();
    paths();
    revocation();
    matches();
    rest();
  }

 private:
  void wrong(const std::string& path, std::string words) {
    problems_.add(spot_of(path), "provider." + toml_key(profile_.id) + "." + path, std::move(words));
  }

  // The nearest node of a dotted path; the names of the schema hold no dots.
  const Spot& spot_of(std::string_view path) const {
    const Node* node = &tree_;
    while (!path.empty()) {
      const std::size_t dot = std::min(path.find('.'), path.size());
      const auto found = node->fields.find(path.substr(0, dot));
      if (found == node->fields.end()) break;
      node = &found->second;
      path.remove_prefix(std::min(dot + 1, path.size()));
    }
    return node->spot;
  }

  bool has(Grant grant) const {
    return std::find(profile_.grants.begin(), profile_.grants.end(), grant) != profile_.grants.end();
  }

  void variables();
  void variable(const std::string& name, const provider::Variable& variable);
  bool text_template(const std::string& path, const std::string& text, bool reserved_allowed);
  void url(const std::string& path, const std::string& text, bool reserved_allowed);
  void endpoint(const std::string& path, const provider::Endpoint& endpoint);
  void headers(const std::string& path, const provider::StringMap& headers);
  void parameters();
  void grants();
  void need(const std::string& endpoint_name, const provider::Endpoint& endpoint, Grant grant);
  void client();
  void sign_in();
  void dotted(const std::string& path, const std::string& value);
  void paths();
  void revocation();
  void matches();
  void rest();

  const Profile& profile_;
  const Node& tree_;
  Problems& problems_;
};

void ProfileChecks::variables() {
  for (const auto& [name, declared] : profile_.vars)
    variable(name, declared);
}

void ProfileChecks::variable(const std::string& name, const provider::Variable& variable) {
  const std::string path = "vars." + toml_key(name);
  const auto names = provider::names_in_template("{" + name + "}");
  if (!names || name == provider::kTokenVariable || name == provider::kClientIdVariable) {
    wrong(path, "a variable's name is made of a-z, 0-9 and _, and is not `token` or `client_id`");
    return;
  }
  if (!variable.pattern.empty()) {
    if (const auto checked = provider::check_pattern(variable.pattern); !checked) {
      wrong(path + ".pattern", checked.error().message());
      return;
    }
  }
  if (!variable.fallback) return;
  if (const auto checked = provider::check_value(variable, *variable.fallback); !checked) {
    wrong(path + ".default", checked.error().message());
  }
}

bool ProfileChecks::text_template(const std::string& path, const std::string& text, bool reserved_allowed) {
  const auto names = provider::names_in_template(text);
  if (!names) {
    wrong(path, names.error().message());
    return false;
  }
  for (const std::string& name : *names) {
    const bool reserved = name == provider::kTokenVariable || name == provider::kClientIdVariable;
    if (reserved && reserved_allowed) continue;
    if (reserved || !profile_.vars.contains(name)) {
      wrong(path, reserved ? "{" + name + "} has a meaning only where tokens are revoked"
                           : "{" + name + "} is not declared under vars");
      return false;
    }
  }
  return true;
}

void ProfileChecks::url(const std::string& path, const std::string& text, bool reserved_allowed) {
  if (!text_template(path, text, reserved_allowed)) return;
  // With the defaults, or a name in their place: what is wrong then is wrong for every account.
  provider::StringMap sample;
  for (const auto& [name, variable] : profile_.vars) {
    const bool words = !variable.allowed.empty();
    sample[name] = variable.fallback ? *variable.fallback : words ? variable.allowed.front() : "sample.example";
  }
  auto expanded = provider::expand_resolved(text, sample);
  if (!expanded) return wrong(path, expanded.error().message());
  for (const std::string_view name : {provider::kTokenVariable, provider::kClientIdVariable}) {
    *expanded = provider::fill_reserved(*expanded, name, "sample");
  }
  // Whether http:// to loopback is allowed is the account's to say.
  if (const auto checked = provider::check_endpoint_url(*expanded, true); !checked)
    wrong(path, checked.error().message());
}

void ProfileChecks::endpoint(const std::string& path, const provider::Endpoint& endpoint) {
  static constexpr std::string_view kMethods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
  if (std::find(std::begin(kMethods), std::end(kMethods), endpoint.method) == std::end(kMethods)) {
    wrong(path + ".method", "must be GET, POST, PUT, PATCH or DELETE");
  }
  headers(path + ".headers", endpoint.headers);
  if (!endpoint.url.empty()) url(path + ".url", endpoint.url, path == "endpoints.revoke");
}

void ProfileChecks::headers(const std::string& path, const provider::StringMap& headers) {
  static constexpr std::string_view kOurs[] = {"Host", "Content-Length", "Transfer-Encoding", "Connection",
                                               "Authorization"};
  for (const auto& [name, value] : headers) {
    const std::string name_path = path + "." + toml_key(name);
    if (!is_header_name(name)) wrong(name_path, "is not the name of an HTTP header");
    const auto ours = [&, &name = name](std::string_view one) { return same_without_case(one, name); };
    if (std::any_of(std::begin(kOurs), std::end(kOurs), ours)) wrong(name_path, "is set by credsyncd itself");
    text_template(name_path, value, false);
  }
}

void ProfileChecks::parameters() {
  for (const auto& [kind, parameters] : profile_.parameters) {
    const std::string path = "parameters." + std::string(provider::to_name(kind));
    const bool revoke = kind == provider::RequestKind::kRevoke;
    for (const auto& [name, value] : parameters.set)
      text_template(path + ".set." + toml_key(name), value, revoke);
    for (const auto& [name, theirs] : parameters.rename) {
      if (theirs.empty()) wrong(path + ".rename." + toml_key(name), "must not be empty; `omit` leaves a parameter out");
    }
  }
}

void ProfileChecks::need(const std::string& endpoint_name, const provider::Endpoint& endpoint, Grant grant) {
  if (!has(grant) || !endpoint.url.empty() || !profile_.issuer.empty()) return;
  const std::string name(provider::to_name(grant));
  wrong("grants", name + " needs endpoints." + endpoint_name + " (or an issuer to discover it from)");
}

void ProfileChecks::grants() {
  if (profile_.grants.empty()) {
    wrong("grants", "is missing: the list of grants the provider offers, such as [\"authorization_code\"]");
  }
  const provider::Endpoints& at = profile_.endpoints;
  for (const Grant grant : {Grant::kAuthorizationCode, Grant::kImplicit})
    need("authorize", at.authorize, grant);
  need("device", at.device, Grant::kDeviceCode);
  for (const Grant grant : {Grant::kAuthorizationCode, Grant::kDeviceCode, Grant::kPassword, Grant::kClientCredentials,
                            Grant::kRefreshToken}) {
    need("token", at.token, grant);
  }
}

void ProfileChecks::client() {
  if (profile_.client.auth.empty())
    wrong("client.auth", "must name at least one way, such as [\"basic\"] or [\"none\"]");
  static constexpr std::string_view kAlgorithms[] = {"",      "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
                                                     "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"};
  const auto end = std::end(kAlgorithms);
  if (std::find(std::begin(kAlgorithms), end, profile_.client.signing_algorithm) == end) {
    wrong("client.signing_algorithm", "must be one of HS, RS, PS or ES with 256, 384 or 512, such as ES256");
  }
  if (!profile_.client.assertion_audience.empty()) {
    text_template("client.assertion_audience", profile_.client.assertion_audience, false);
  }
}

// What guards a sign-in is switched off by its own key, never by a parameter that goes missing or is set to a constant.
void ProfileChecks::sign_in() {
  const provider::Authorize& authorize = profile_.authorize;
  const bool pkce = authorize.pkce != provider::Pkce::kOff;
  const std::pair<std::string_view, bool> guards[] = {{"state", authorize.state != provider::StateUse::kOff},
                                                      {"nonce", authorize.nonce},
                                                      {"code_challenge", pkce},
                                                      {"code_challenge_method", pkce}};
  for (const auto kind : {provider::RequestKind::kAuthorize, provider::RequestKind::kPush}) {
    const auto found = profile_.parameters.find(kind);
    if (found == profile_.parameters.end()) continue;
    const std::string path = "parameters." + std::string(provider::to_name(kind));
    for (const auto& [name, used] : guards) {
      const provider::Strings& omit = found->second.omit;
      const bool omitted = std::find(omit.begin(), omit.end(), name) != omit.end();
      const bool set = found->second.set.contains(std::string(name));
      if (!used || (!omitted && !set)) continue;
      wrong(path + (omitted ? ".omit" : ".set"), std::string(name) +
                                                     " guards the sign-in; authorize.state, nonce and "
                                                     "pkce say what is used");
    }
  }
  if (authorize.iss_required && profile_.issuer.empty())
    wrong("authorize.iss_required", "needs an issuer to compare with");
  if (authorize.push_required && profile_.endpoints.push.url.empty() && profile_.issuer.empty())
    wrong("authorize.push_required", "needs endpoints.push (or an issuer to discover it from)");
  static constexpr std::string_view kAlgorithms[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
                                                     "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"};
  for (const std::string& name : profile_.answer.id_token_algorithms) {
    if (std::find(std::begin(kAlgorithms), std::end(kAlgorithms), name) != std::end(kAlgorithms)) continue;
    wrong("answer.id_token_algorithms", "must be RS, PS, ES or HS with 256, 384 or 512, or EdDSA");
  }
}

// "data.0.token": names and indexes with single dots between them.
void ProfileChecks::dotted(const std::string& path, const std::string& value) {
  const bool edge = value.empty() || value.front() == '.' || value.back() == '.';
  if (edge || value.find("..") != value.npos) wrong(path, "must be a dotted path such as data.0");
}

void ProfileChecks::paths() {
  const provider::Answer& answer = profile_.answer;
  if (!answer.root.empty()) dotted("answer.root", answer.root);
  if (!answer.expires_at.empty()) dotted("answer.expires_at", answer.expires_at);
  for (const auto& [name, value] : answer.fields)
    dotted("answer.fields." + toml_key(name), value);
  if (answer.success) dotted("answer.success.path", answer.success->path);
  for (const std::string& value : answer.keep)
    dotted("answer.keep", value);
  for (const std::string& value : profile_.errors.code)
    dotted("errors.code", value);
  for (const std::string& value : profile_.errors.text)
    dotted("errors.text", value);
}

void ProfileChecks::revocation() {
  const provider::Revoke& revoke = profile_.revoke;
  const bool has_endpoint = !profile_.endpoints.revoke.url.empty();
  if (revoke.success.empty()) wrong("revoke.success", "must hold at least one HTTP status");
  if (revoke.how == provider::RevokeHow::kNone) return;
  if (!has_endpoint && profile_.issuer.empty()) {
    wrong("revoke.how", "needs endpoints.revoke (or an issuer to discover it from)");
  }
  const bool in_path = profile_.endpoints.revoke.url.find("{token}") != std::string::npos;
  if (revoke.how == provider::RevokeHow::kPath && !in_path) {
    wrong("revoke.how", "\"path\" needs {token} in endpoints.revoke.url");
  }
  if (!revoke.access_tokens && !revoke.refresh_tokens) {
    wrong("revoke", "takes neither access nor refresh tokens; write how = \"none\" instead");
  }
}

void ProfileChecks::matches() {
  for (std::size_t i = 0; i < profile_.errors.match.size(); ++i) {
    const provider::ErrorMatch& match = profile_.errors.match[i];
    if (match.status || !match.code.empty() || match.request) continue;
    wrong("errors.match",
          "entry " + std::to_string(i) + " would match every answer; give it a status, a code or a request");
  }
}

void ProfileChecks::rest() {
  if (profile_.authorize.scope_separator.empty()) wrong("authorize.scope_separator", "must not be empty");
  if (profile_.authorize.scope_parameter.empty()) wrong("authorize.scope_parameter", "must not be empty");
  if (profile_.authorize.code_parameter.empty()) wrong("authorize.code_parameter", "must not be empty");
  if (profile_.answer.scope_separator.empty()) wrong("answer.scope_separator", "must not be empty");
  const std::string& path = profile_.authorize.redirect_path;
  if (!path.starts_with('/') || path.find_first_of(" ?#%\\") != path.npos) {
    wrong("authorize.redirect_path", "must begin with / and hold no space, ?, #, % or backslash");
  }
  if (!is_header_name(profile_.delivery.header)) wrong("delivery.header", "is not the name of an HTTP header");
  if (profile_.answer.introspect_expiry && profile_.endpoints.introspect.url.empty() && profile_.issuer.empty()) {
    wrong("answer.introspect_expiry", "needs endpoints.introspect (or an issuer to discover it from)");
  }
}

}  // namespace

std::vector<NamedEndpoint> endpoints_of(const provider::Profile& profile) {
  const provider::Endpoints& at = profile.endpoints;
  return {{"authorize", &at.authorize}, {"token", &at.token},   {"refresh", &at.refresh},
          {"revoke", &at.revoke},       {"device", &at.device}, {"introspect", &at.introspect},
          {"userinfo", &at.userinfo},   {"push", &at.push},     {"jwks", &at.jwks}};
}

void check_profile(const provider::Profile& profile, const Node& tree, Problems& problems) {
  ProfileChecks(profile, tree, problems).all();
}

}  // namespace credsync::config
