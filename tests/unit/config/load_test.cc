// Layers: which file wins, what is merged and what replaced, and what the result says of itself.
#include <unistd.h>

#include <algorithm>

#include "tests/unit/config/config_fixture.h"

namespace credsync::config {
namespace {

const std::string kAccount = R"([account.a]
provider = "acme"
grant = "authorization_code"
client_id = "id"
client_secret = { file = "acme.secret" }
)";

class Load : public ConfigTest {
 protected:
  Config good() {
    Loaded loaded = load();
    EXPECT_EQ(shown(loaded), std::vector<std::string>{});
    return std::move(loaded.config);
  }
};

TEST_F(Load, NothingAtAllGivesTheDefaults) {
  paths_.config = path("nowhere");
  paths_.providers.clear();
  const Config config = good();
  EXPECT_EQ(config.listen.http, "/run/credsyncd-api/api.sock");
  EXPECT_EQ(config.listen.dbus, "system");
  EXPECT_EQ(config.store.backend, "sqlite");
  EXPECT_FALSE(config.store.key.present());
  EXPECT_EQ(config.refresh.workers, 32u);
  EXPECT_EQ(config.callers.max_connections_per_user, 64u);
  EXPECT_TRUE(config.accounts.empty());
}

TEST_F(Load, AUserInstanceListensInItsOwnRuntimeFolderAndOnTheSessionBus) {
  paths_.user_instance = true;
  paths_.runtime = "/run/user/1000/credsyncd";
  const Config config = good();
  EXPECT_EQ(config.listen.http, "/run/user/1000/credsyncd/api.sock");
  EXPECT_EQ(config.listen.dbus, "session");
}

TEST_F(Load, SettingsMergeKeyByKeyAndLaterFilesWin) {
  write("etc/credsyncd.toml",
        "[refresh]\nworkers = 3\n[callers]\nmax_connections_per_user = 5\nmax_waiting_per_user = 6\n");
  write("etc/conf.d/20.toml", "[callers]\nmax_waiting_per_user = 8\n");
  write("etc/conf.d/10.toml", "[callers]\nmax_waiting_per_user = 7\n[listen]\ndbus = \"off\"\n");
  write("etc/conf.d/30.toml.example", "not read at all");
  write("etc/conf.d/.hidden.toml", "not read at all");
  const Config config = good();
  EXPECT_EQ(config.refresh.workers, 3u);
  EXPECT_EQ(config.callers.max_connections_per_user, 5u);
  EXPECT_EQ(config.callers.max_waiting_per_user, 8u);
  EXPECT_EQ(config.listen.dbus, "off");
}

TEST_F(Load, ALaterSourceOfTheMasterKeyReplacesAnEarlierOne) {
  write("etc/credsyncd.toml", "[store]\nkey = { file = \"master.key\" }\n");
  EXPECT_EQ(good().store.key.path, path("etc/master.key")) << "it need not exist: it is made on first start";
  write("etc/conf.d/a.toml", "[store]\nkey = { credential = \"master\" }\n");
  const SecretSource key = good().store.key;
  EXPECT_EQ(key.kind, SecretSource::Kind::kCredential);
  EXPECT_EQ(key.path, "master");
}

TEST_F(Load, EveryKeyOfAnAccountIsRead) {
  secret("etc/accounts.d/key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  write("etc/accounts.d/ca.pem", "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n");
  account(kAccount + R"(
client_key = { file = "key.pem" }
client_certificate = "ca.pem"
client_key_id = "k1"
username = "someone"
scopes = ["a", "b"]
redirect_uri = "http://127.0.0.1:8765/callback"
params = { prompt = "none" }
ca_file = "ca.pem"
allow_http_loopback = true
refresh = "while-used"
margin = "10m"
revoke_superseded = "always"
revoke_grace = "5s"
[[account.a.allow]]
user = "root"
actions = ["get"]
[[account.a.allow]]
user = 12
group = "root"
[[account.a.allow]]
unit = "score-sync.service"
exe = "/usr/lib/score sync/bin"
)");
  const Account a = *good().accounts.at("a");
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.profile->title, "Acme");
  EXPECT_EQ(a.grant, provider::Grant::kAuthorizationCode);
  EXPECT_EQ(a.client_id, "id");
  EXPECT_EQ(a.client_secret.path, path("etc/accounts.d/acme.secret")) << "relative to the file that names it";
  EXPECT_EQ(a.client_certificate, path("etc/accounts.d/ca.pem"));
  EXPECT_EQ(a.client_key_id, "k1");
  EXPECT_EQ(a.username, "someone");
  EXPECT_EQ(a.scopes, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(a.redirect_uri, "http://127.0.0.1:8765/callback");
  EXPECT_EQ(a.params.at("prompt"), "none");
  EXPECT_EQ(a.ca_file, path("etc/accounts.d/ca.pem"));
  EXPECT_TRUE(a.allow_http_loopback);
  EXPECT_EQ(a.refresh, RefreshMode::kWhileUsed);
  EXPECT_EQ(a.margin, Duration(10min));
  EXPECT_EQ(a.revoke_superseded, RevokeSuperseded::kAlways);
  EXPECT_EQ(a.revoke_grace, Duration(5s));
  ASSERT_EQ(a.allow.size(), 3u);
  EXPECT_EQ(a.allow[0].user, uid_t{0});
  EXPECT_EQ(a.allow[0].user_name, "root");
  EXPECT_EQ(a.allow[0].actions, static_cast<Actions>(Action::kGet) | static_cast<Actions>(Action::kWatch))
      << "watch is implied";
  EXPECT_EQ(a.allow[0].label, "account.a.allow[0]");
  EXPECT_EQ(a.allow[1].user, uid_t{12}) << "a number is an id, whether it has a name or not";
  EXPECT_EQ(a.allow[1].group, gid_t{0});
  EXPECT_EQ(a.allow[2].unit, "score-sync.service") << "a system unit is a boundary of its own";
  EXPECT_EQ(a.allow[2].exe, "/usr/lib/score sync/bin");
  EXPECT_FALSE(a.allow[2].user || a.allow[2].group);
  EXPECT_EQ(a.origin.line, 1u);
}

TEST_F(Load, ARuleForALinkWarnsThatTheKernelKnowsTheProgramByAnotherName) {
  write("bin/real", "");
  ASSERT_EQ(::symlink(path("bin/real").c_str(), path("bin/link").c_str()), 0);
  account(kAccount + "allow = [ { user = 0, exe = \"" + path("bin/link") + "\" } ]\n");
  const Loaded loaded = load();
  ASSERT_TRUE(loaded.usable());
  ASSERT_EQ(loaded.problems.size(), 1u);
  EXPECT_NE(loaded.problems[0].words.find(path("bin/real")), std::string::npos);
}

TEST_F(Load, DefaultsHoldUntilAnAccountSaysOtherwiseAndRulesAddUp) {
  write("etc/credsyncd.toml", R"([defaults]
refresh = "on-demand"
margin = "5m"
revoke_grace = "10s"
[[defaults.allow]]
user = 0
actions = ["watch"]
)");
  account(kAccount + "margin = \"auto\"\nrevoke_grace = \"20s\"\nallow = [ { group = 0 } ]\n");
  const Account a = *good().accounts.at("a");
  EXPECT_EQ(a.refresh, RefreshMode::kOnDemand);
  EXPECT_EQ(a.margin, std::nullopt);
  EXPECT_EQ(a.revoke_grace, Duration(20s));
  ASSERT_TRUE(a.default_allow != nullptr);
  ASSERT_EQ(a.default_allow->size(), 1u);
  EXPECT_EQ(a.default_allow->front().label, "defaults.allow[0]");
  ASSERT_EQ(a.allow.size(), 1u);
  EXPECT_EQ(a.allow[0].label, "account.a.allow[0]");
}

TEST_F(Load, AccountsMayStandInAnyFileButTheCatalogue) {
  write("etc/credsyncd.toml", "[account.one]\nprovider = \"acme\"\ngrant = \"static\"\n");
  write("etc/conf.d/x.toml", "[account.two]\nprovider = \"acme\"\ngrant = \"static\"\n");
  account(
      "[account.three]\nprovider = \"acme\"\ngrant = \"static\"\n[account.four]\nprovider = \"acme\"\ngrant "
      "= \"static\"\n");
  EXPECT_EQ(good().accounts.size(), 4u);
}

TEST_F(Load, ImportedTokensNeedNoOfferOfTheProvider) {
  account(
      "[account.a]\nprovider = \"acme\"\ngrant = \"refresh_token\"\nclient_id = \"x\"\nclient_secret = { "
      "file = \"acme.secret\" }\n"
      "[account.b]\nprovider = \"acme\"\ngrant = \"static\"\n");
  EXPECT_EQ(good().accounts.size(), 2u);
  write("etc/providers.d/a.toml", "[provider.acme]\nrefresh.how = \"never\"\n");
  EXPECT_EQ(problems().size(), 1u) << "but a provider that never refreshes has no use for a refresh token";
}

TEST_F(Load, VariablesGetTheirDefaults) {
  write("etc/providers.d/a.toml",
        "[provider.acme]\nvars.dc = { enum = [\"eu\", \"us\"], default = \"eu\" }\nendpoints.token = "
        "\"https://{dc}.acme.example/token\"\n");
  account(kAccount);
  EXPECT_EQ(good().accounts.at("a")->vars.at("dc"), "eu");
  account(kAccount + "vars = { dc = \"us\" }\n");
  EXPECT_EQ(good().accounts.at("a")->vars.at("dc"), "us");
  account(kAccount + "vars = { dc = \"cn\" }\n");
  EXPECT_EQ(problems(), std::vector<std::string>{
                            "etc/accounts.d/a.toml:6:1: account.a.vars: dc: must be one of eu, us; variables of "
                            "acme are dc"});
}

TEST_F(Load, AVariableCannotMakeABadUrl) {
  write("etc/providers.d/a.toml",
        "[provider.acme]\nvars.host.pattern = '.*'\nendpoints.token = \"https://{host}/token\"\n");
  account(kAccount + "vars = { host = \"me@evil.example\" }\n");
  const auto found = problems();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0],
            "etc/accounts.d/a.toml:6:1: account.a.vars: endpoints.token.url of provider acme "
            "(etc/providers.d/a.toml:3): user "
            "information before the host is not allowed");
}

TEST_F(Load, APublicClientNeedsNoSecret) {
  write("etc/providers.d/a.toml", "[provider.acme]\nclient.auth = [\"basic\", \"none\"]\n");
  account("[account.a]\nprovider = \"acme\"\ngrant = \"authorization_code\"\nclient_id = \"x\"\n");
  EXPECT_EQ(good().accounts.size(), 1u);
  account("[account.a]\nprovider = \"acme\"\ngrant = \"client_credentials\"\nclient_id = \"x\"\n");
  EXPECT_EQ(problems().size(), 1u) << "RFC 6749, 4.4: client credentials are for confidential clients";
}

TEST_F(Load, AKeyIsAnotherWayToAuthenticate) {
  secret("etc/accounts.d/key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  write("etc/providers.d/a.toml", "[provider.acme]\nclient.auth = [\"private_key_jwt\"]\n");
  const std::string text = "[account.a]\nprovider = \"acme\"\ngrant = \"client_credentials\"\nclient_id = \"x\"\n";
  account(text + "client_key = { file = \"key.pem\" }\n");
  EXPECT_EQ(good().accounts.size(), 1u);
  account(text + "client_secret = { file = \"acme.secret\" }\n");
  EXPECT_EQ(problems(), std::vector<std::string>{
                            "etc/accounts.d/a.toml:1:10: account.a.client_key: is missing: provider acme authenticates "
                            "the client by private_key_jwt"});
  write("etc/providers.d/a.toml", "[provider.acme]\nclient.auth = [\"tls\"]\n");
  account(text + "client_key = { file = \"key.pem\" }\n");
  EXPECT_EQ(problems(), std::vector<std::string>{
                            "etc/accounts.d/a.toml:1:10: account.a.client_certificate: is missing: provider acme "
                            "authenticates the client by tls"});
}

TEST_F(Load, ProfilesMergeKeyByKeyAndArraysReplace) {
  write("etc/providers.d/a.toml", R"([provider.acme]
grants = ["client_credentials"]
[provider.acme.endpoints.token]
encoding = "json"
headers = { X-One = "1" }
)");
  write("etc/providers.d/b.toml", R"([provider.acme.endpoints.token]
headers = { X-Two = "2" }
)");
  write("etc/conf.d/c.toml", "[provider.acme]\nendpoints.revoke = \"https://acme.example/revoke\"\n");
  const provider::Profile acme = *good().profiles.at("acme");
  EXPECT_EQ(acme.title, "Acme");
  EXPECT_EQ(acme.grants, std::vector{provider::Grant::kClientCredentials});
  EXPECT_EQ(acme.endpoints.token.url, "https://acme.example/token");
  EXPECT_EQ(acme.endpoints.token.encoding, provider::Encoding::kJson);
  EXPECT_EQ(acme.endpoints.token.headers, (provider::StringMap{{"X-One", "1"}, {"X-Two", "2"}}));
  EXPECT_EQ(acme.revoke.how, provider::RevokeHow::kRfc7009) << "an endpoint is enough";
}

TEST_F(Load, AnEmptyUrlAndUnknownTakeBackWhatAnotherLayerSaid) {
  write("providers/acme.toml", R"([provider.acme]
grants = ["client_credentials"]
endpoints.token = "https://acme.example/token"
endpoints.revoke = "https://acme.example/revoke"
refresh.overlap = "10m"
)");
  write("etc/providers.d/a.toml", "[provider.acme]\nendpoints.revoke = \"\"\nrefresh.overlap = \"unknown\"\n");
  const provider::Profile acme = *good().profiles.at("acme");
  EXPECT_EQ(acme.revoke.how, provider::RevokeHow::kNone);
  EXPECT_EQ(acme.refresh.overlap, std::nullopt);
}

TEST_F(Load, AProfileExtendsAnother) {
  write("etc/providers.d/a.toml",
        "[provider.acme-eu]\nextends = \"acme\"\ntitle = \"Acme Europe\"\nendpoints.token = "
        "\"https://eu.acme.example/token\"\n"
        "[provider.acme-test]\nextends = \"acme-eu\"\nclient.auth = [\"basic\"]\n");
  const Config config = good();
  const provider::Profile& test = *config.profiles.at("acme-test");
  EXPECT_EQ(test.id, "acme-test");
  EXPECT_EQ(test.title, "Acme Europe");
  EXPECT_EQ(test.endpoints.authorize.url, "https://acme.example/authorize");
  EXPECT_EQ(test.endpoints.token.url, "https://eu.acme.example/token");
  EXPECT_EQ(test.client.auth, std::vector{provider::ClientAuth::kBasic});
  EXPECT_EQ(config.profiles.at("acme")->client.auth, std::vector{provider::ClientAuth::kPost});
}

TEST_F(Load, FactsSayWhereEachEffectiveValueWasWritten) {
  write("providers/acme.toml", R"([provider.acme]
title = "Acme"
grants = ["client_credentials"]
endpoints.token = "https://acme.example/token"
endpoints.authorize = "https://acme.example/authorize"
[provider.acme.sources]
endpoints = "Acme handbook, page 3"
"endpoints.authorize" = "Acme handbook, page 4"
)");
  write("etc/providers.d/a.toml", "\n[provider.acme]\ntitle = \"Ours\"\n");
  const Config config = good();
  const std::vector<provider::Fact>& facts = config.profiles.at("acme")->facts;
  const auto fact = [&](std::string_view key) {
    const auto found =
        std::find_if(facts.begin(), facts.end(), [&](const provider::Fact& one) { return one.key == key; });
    return found == facts.end() ? provider::Fact{} : *found;
  };
  EXPECT_EQ(fact("title").value, "\"Ours\"");
  EXPECT_EQ(fact("title").file, path("etc/providers.d/a.toml"));
  EXPECT_EQ(fact("title").line, 3u);
  EXPECT_EQ(fact("title").source, "");
  EXPECT_EQ(fact("grants").value, "[\"client_credentials\"]");
  EXPECT_EQ(fact("endpoints.token.url").source, "Acme handbook, page 3");
  EXPECT_EQ(fact("endpoints.authorize.url").source, "Acme handbook, page 4");
  EXPECT_EQ(fact("endpoints.authorize.url").line, 5u);
}

TEST_F(Load, ASourceOfNothingIsAWarning) {
  write("etc/providers.d/a.toml", "[provider.acme.sources]\n\"endpoints.tokn\" = \"Acme handbook\"\n");
  EXPECT_EQ(problems(), std::vector<std::string>{
                            "etc/providers.d/a.toml:2:1: warning: provider.acme.sources.\"endpoints.tokn\": the "
                            "profile has no such key"});
}

TEST_F(Load, AnOrderThatWouldEndTheGrantIsAWarning) {
  write("etc/providers.d/a.toml",
        "[provider.acme]\nendpoints.revoke = \"https://acme.example/revoke\"\nrevoke.refresh_cascade = \"grant\"\n");
  const std::string order = "revoke_superseded = \"always\"\n";
  account(kAccount + order);
  const std::vector<std::string> found = problems();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("warning: account.a.revoke_superseded: provider acme ends the whole grant"),
            std::string::npos)
      << found[0];
  EXPECT_TRUE(load().usable());
  account(kAccount + "revoke_superseded = \"auto\"\n");
  EXPECT_EQ(problems(), std::vector<std::string>{});
  account(kAccount + order);
  write("etc/providers.d/b.toml", "[provider.acme]\nrevoke.refresh_cascade = \"unknown\"\n");
  EXPECT_EQ(problems(), std::vector<std::string>{});  // unknown: the admin's order stands (Flat)
}

TEST_F(Load, RelativeFoldersAreTakenFromWhereTheDaemonStands) {
  account(kAccount);
  paths_.config = std::filesystem::relative(paths_.config);
  EXPECT_EQ(good().accounts.at("a")->client_secret.path, path("etc/accounts.d/acme.secret"));
}

}  // namespace
}  // namespace credsync::config
