#include "daemon/config/account_checks.h"

#include <algorithm>

#include "daemon/config/profile_checks.h"
#include "daemon/provider/names.h"
#include "daemon/provider/template.h"
#include "daemon/provider/url.h"

namespace credsync::config {
namespace {

using provider::ClientAuth;
using provider::Grant;
using provider::Profile;

// An imported refresh token and a token from elsewhere are ways to bring a grant, not something the server
// must offer.
bool offers(const Profile& profile, Grant grant) {
  if (grant == Grant::kStatic) return true;
  const bool listed = std::find(profile.grants.begin(), profile.grants.end(), grant) != profile.grants.end();
  if (listed || grant != Grant::kRefreshToken) return listed;
  const bool token_endpoint = !profile.endpoints.token.url.empty() || !profile.issuer.empty();
  return token_endpoint && profile.refresh.how == provider::RefreshHow::kRefreshToken;
}

std::string offered(const Profile& profile) {
  std::string out;
  for (const auto& entry : names_of(Grant{})) {
    if (offers(profile, entry.value)) out += (out.empty() ? "" : ", ") + std::string(entry.name);
  }
  return out;
}

bool allows_public(const Profile& profile) {
  const auto& auth = profile.client.auth;
  return std::find(auth.begin(), auth.end(), ClientAuth::kNone) != auth.end();
}

void check_grant(const Account& account, TableReader& table) {
  if (!offers(*account.profile, account.grant)) {
    table.wrong("grant", "provider " + account.provider + " offers no " +
                             std::string(provider::to_name(account.grant)) + "; allowed are " +
                             offered(*account.profile));
  }
  const bool password = account.grant == Grant::kPassword;
  if (password && account.username.empty()) table.wrong("username", "is missing; grant = \"password\" needs it");
  if (!password && account.password.present()) table.wrong("password", "is for grant = \"password\" only");
  if (!password && account.keep_password) table.wrong("keep_password", "is for grant = \"password\" only");
}

// The key that one way of client authentication still lacks; empty if it can be used.
std::string_view lacking(ClientAuth auth, const Account& account) {
  switch (auth) {
    case ClientAuth::kBasic:
    case ClientAuth::kPost:
    case ClientAuth::kClientSecretJwt: return account.client_secret.present() ? "" : "client_secret";
    case ClientAuth::kTls:
      if (account.client_certificate.empty()) return "client_certificate";
      [[fallthrough]];
    case ClientAuth::kPrivateKeyJwt: return account.client_key.present() ? "" : "client_key";
    case ClientAuth::kNone: break;
  }
  return {};
}

// One of the profile's ways must have what it needs; a public client needs nothing, but RFC 6749, 4.4 gives
// it no client credentials.
void check_client(const Account& account, TableReader& table) {
  if (account.grant == Grant::kStatic) return;
  if (account.client_id.empty()) table.wrong("client_id", "is missing");
  const bool may_be_public = allows_public(*account.profile) && account.grant != Grant::kClientCredentials;
  const bool has_any =
      account.client_secret.present() || account.client_key.present() || !account.client_certificate.empty();
  if (may_be_public && !has_any) return;
  std::string_view missing;
  std::string ways;
  for (const ClientAuth auth : account.profile->client.auth) {
    if (auth == ClientAuth::kNone) continue;
    const std::string_view key = lacking(auth, account);
    if (key.empty()) return;
    if (missing.empty()) missing = key;
    ways += (ways.empty() ? "" : " or ") + std::string(provider::to_name(auth));
  }
  if (missing.empty()) {
    if (may_be_public) return;
    return table.wrong("grant", "client_credentials needs a client that can authenticate; provider " +
                                    account.provider + " has only public ones");
  }
  table.wrong(missing, "is missing: provider " + account.provider + " authenticates the client by " + ways);
}

void check_params(const Account& account, TableReader& table) {
  for (const std::string_view name : provider::kOwnParameters) {
    if (account.params.contains(std::string(name)))
      table.wrong("params", std::string(name) + " is set by credsyncd itself");
  }
}

void report(TableReader& table, std::string_view key, const std::optional<Finding>& finding) {
  if (!finding) return;
  if (finding->fatal)
    table.wrong(key, finding->words);
  else
    table.problems().warn(table.spot_of(key), table.path_of(key), finding->words);
}

// A disabled account may name files that are not there yet.
void check_files(const Account& account, TableReader& table, FileChecks& files) {
  if (!account.enabled) return;
  report(table, "client_secret", files.secret(account.client_secret));
  report(table, "password", files.secret(account.password));
  report(table, "client_key", files.private_key(account.client_key));
  if (!account.client_certificate.empty())
    report(table, "client_certificate", files.certificates(account.client_certificate));
  if (!account.ca_file.empty()) report(table, "ca_file", files.certificates(account.ca_file));
}

std::string place_of(const Profile& profile, const std::string& key) {
  for (const provider::Fact& fact : profile.facts) {
    if (fact.key == key) return " (" + fact.file + ":" + std::to_string(fact.line) + ")";
  }
  return {};
}

// Every URL of the profile with this account's variables. One problem is enough: they share their variables.
void check_urls(const Account& account, TableReader& table) {
  const auto good = [&](const std::string& key, const std::string& text) {
    if (text.empty()) return true;
    auto url = provider::expand_resolved(text, account.vars);
    if (url) {
      *url = provider::fill_reserved(*url, provider::kTokenVariable, "t");
      *url = provider::fill_reserved(*url, provider::kClientIdVariable, "c");
    }
    const auto checked =
        url ? provider::check_endpoint_url(*url, account.allow_http_loopback) : Result<provider::Url>(url.error());
    if (checked) return true;
    const std::string_view at = table.take("vars") != nullptr ? "vars" : "provider";
    table.wrong(at, key + " of provider " + account.provider + place_of(*account.profile, key) + ": " +
                        checked.error().message());
    return false;
  };
  if (!good("issuer", account.profile->issuer)) return;
  for (const NamedEndpoint& one : endpoints_of(*account.profile)) {
    if (!good("endpoints." + std::string(one.name) + ".url", one.endpoint->url)) return;
  }
}

bool fill_variables(Account& account, TableReader& table) {
  auto values = provider::resolve(account.profile->vars, account.vars);
  if (values) {
    account.vars = std::move(*values);
    return true;
  }
  std::string known;
  for (const auto& [name, variable] : account.profile->vars)
    known += (known.empty() ? "" : ", ") + name;
  table.wrong("vars",
              values.error().message() + (known.empty() ? "; provider " + account.provider + " has no variables"
                                                        : "; variables of " + account.provider + " are " + known));
  return false;
}

// The admin may order it, but should know: the first renewal would end the grant (design section 5, invariant 7).
void check_order_to_revoke(const Account& account, TableReader& table) {
  const provider::Revoke& revoke = account.profile->revoke;
  const bool ends_the_grant = (revoke.access_tokens && revoke.access_cascade == provider::Cascade::kGrant) ||
                              (revoke.refresh_tokens && revoke.refresh_cascade == provider::Cascade::kGrant);
  const bool is_renewed_by_what_it_ends = account.grant != Grant::kClientCredentials && account.grant != Grant::kStatic;
  if (account.revoke_superseded != RevokeSuperseded::kAlways || revoke.how == provider::RevokeHow::kNone ||
      !ends_the_grant || !is_renewed_by_what_it_ends)
    return;
  table.problems().warn(
      table.spot_of("revoke_superseded"), table.path_of("revoke_superseded"),
      "provider " + account.provider +
          " ends the whole grant when one of its tokens is revoked: each renewal would sign this account out; "
          "\"auto\" revokes only where that is safe");
}

}  // namespace

void check_account(Account& account, TableReader& table, FileChecks& files) {
  check_grant(account, table);
  check_params(account, table);
  check_client(account, table);
  check_files(account, table, files);
  if (fill_variables(account, table)) check_urls(account, table);
  check_order_to_revoke(account, table);
}

}  // namespace credsync::config
