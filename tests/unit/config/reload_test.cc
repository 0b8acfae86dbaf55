// What a reload sees: fingerprints tell whether anything that matters changed, identities whether it is still
// the same grant; and the dump says all of it without a secret.
#include <fstream>
#include <sstream>

#include "tests/unit/config/config_fixture.h"

namespace credsync::config {
namespace {

const std::string kOneAccount = R"([account.a]
provider = "acme"
grant = "authorization_code"
client_id = "id"
client_secret = { file = "acme.secret" }
scopes = ["one", "two"]
)";

class Reload : public ConfigTest {
 protected:
  Account the_account(const std::string& body) {
    account(body);
    const Loaded loaded = load();
    EXPECT_TRUE(loaded.usable()) << ::testing::PrintToString(shown(loaded));
    return loaded.usable() ? *loaded.config.accounts.at("a") : Account{};
  }
};

TEST_F(Reload, TheSameAccountElsewhereIsUnchanged) {
  const Account before = the_account(kOneAccount);
  EXPECT_NE(before.fingerprint, config::Fingerprint{});
  EXPECT_EQ(before.identity.size(), 64u);
  EXPECT_EQ(the_account("# a comment\n\n" + kOneAccount).fingerprint, before.fingerprint);
  std::filesystem::rename(path("etc/accounts.d/a.toml"), path("etc/accounts.d/z.toml"));
  EXPECT_EQ(load().config.accounts.at("a")->fingerprint, before.fingerprint);
}

TEST_F(Reload, AnythingThatMattersChangesTheFingerprint) {
  secret("etc/accounts.d/other.secret", "other");
  const Account before = the_account(kOneAccount);
  for (const char* more : {"enabled = false\n", "username = \"someone\"\n", "redirect_uri = \"http://127.0.0.1/\"\n",
                           "redirect_port = 80\n", "params = { prompt = \"none\" }\n", "allow_http_loopback = true\n",
                           "refresh = \"on-demand\"\n", "margin = \"10m\"\n", "revoke_superseded = \"never\"\n",
                           "revoke_grace = \"61s\"\n", "client_key_id = \"k\"\n", "allow = [ { user = 0 } ]\n",
                           "allow = [ { user = 0, actions = [\"refresh\"] } ]\n", "allow = [ { group = 0 } ]\n"}) {
    EXPECT_NE(the_account(kOneAccount + more).fingerprint, before.fingerprint) << more;
  }
  std::string other = kOneAccount;
  other.replace(other.find("acme.secret"), 11, "other.secret");
  EXPECT_NE(the_account(other).fingerprint, before.fingerprint);
}

TEST_F(Reload, AChangedProfileChangesItsAccounts) {
  const Account before = the_account(kOneAccount);
  write("etc/providers.d/a.toml", "[provider.acme]\nlimits.requests_per_second = 3\n");
  const Account after = the_account(kOneAccount);
  EXPECT_NE(after.fingerprint, before.fingerprint);
  EXPECT_EQ(after.identity, before.identity);
  write("etc/providers.d/a.toml", "# a comment and words for people\n[provider.acme]\ntitle = \"Acme Inc.\"\n");
  EXPECT_EQ(the_account(kOneAccount).fingerprint, before.fingerprint);
}

TEST_F(Reload, IdentityIsProviderOriginClientGrantUserAndScopes) {
  const Account before = the_account(kOneAccount);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = kOneAccount;
    text.replace(text.find(from), from.size(), to);
    return the_account(text).identity;
  };
  EXPECT_NE(with("\"id\"", "\"id2\""), before.identity);
  EXPECT_NE(with("authorization_code", "client_credentials"), before.identity);
  EXPECT_NE(with("\"two\"", "\"three\""), before.identity);
  EXPECT_NE(the_account(kOneAccount + "username = \"someone\"\n").identity, before.identity);
  EXPECT_EQ(with("\"one\", \"two\"", "\"two\", \"one\", \"two\""), before.identity) << "scopes are a set";
  EXPECT_EQ(the_account(kOneAccount + "redirect_port = 99\nrefresh = \"on-demand\"\n").identity, before.identity);
  write("etc/providers.d/a.toml", "[provider.acme]\nendpoints.token = \"https://acme.example/v2/token\"\n");
  EXPECT_EQ(the_account(kOneAccount).identity, before.identity) << "another path is the same server";
  write("etc/providers.d/a.toml", "[provider.acme]\nendpoints.token = \"https://acme.example:444/token\"\n");
  EXPECT_NE(the_account(kOneAccount).identity, before.identity);
}

TEST_F(Reload, DifferenceNamesWhatIsNewChangedAndGone) {
  const auto text = [](const std::string& name, const std::string& more) {
    return "[account." + name + "]\nprovider = \"acme\"\ngrant = \"static\"\n" + more;
  };
  account(text("same", "") + text("other", "") + text("gone", ""));
  const Config before = load().config;
  account(text("fresh", "") + text("same", "") + text("other", "refresh = \"on-demand\"\n"));
  const Difference found = difference(before, load().config);
  EXPECT_EQ(found.added, std::vector<std::string>{"fresh"});
  EXPECT_EQ(found.changed, std::vector<std::string>{"other"});
  EXPECT_EQ(found.removed, std::vector<std::string>{"gone"});
}

class Dump : public Reload {
 protected:
  // The dump of what is loaded now, read back from a folder of its own.
  Loaded read_back(const std::string& text) {
    write("again/credsyncd.toml", text);
    Paths paths = paths_;
    paths.providers.clear();
    paths.config = path("again");
    return config::load(paths);
  }
};

TEST_F(Dump, CanBeReadBackToTheSame) {
  copy_catalogue(paths_.providers);
  write("etc/credsyncd.toml",
        "[store]\nkey = { file = \"k\" }\n[defaults]\nmargin = \"1m\"\n[[defaults.allow]]\nuser = 0\n");
  account(kOneAccount +
          "params = { \"odd key\" = \"quo\\\"te\" }\nallow = [ { group = 0, actions = [\"get\", \"admin\"] } ]\n"
          "[account.b]\nprovider = \"example\"\ngrant = \"authorization_code\"\nclient_id = \"x\"\n"
          "client_secret = { command = [\"/bin/echo\", \"a b\"] }\nvars = { host = \"a.example:8443\" }\n");
  const Loaded first = load();
  ASSERT_TRUE(first.usable()) << ::testing::PrintToString(shown(first));
  ASSERT_GT(first.config.profiles.size(), 30u);
  const std::string text = dump(first.config);
  const Loaded second = read_back(text);
  ASSERT_TRUE(second.usable()) << ::testing::PrintToString(shown(second)) << text;
  EXPECT_EQ(second.config.profiles.size(), first.config.profiles.size());
  const Difference found = difference(first.config, second.config);
  EXPECT_EQ(found.added.size() + found.changed.size() + found.removed.size(), 0u);
  const auto without_comments = [](const std::string& dumped) {
    std::string out;
    std::istringstream lines(dumped);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with('#')) out += line + '\n';
    }
    return out;
  };
  EXPECT_EQ(without_comments(dump(second.config)), without_comments(text));
}

// Every profile of the catalogue, not only those that accounts use.
TEST_F(Dump, KeepsEveryProfileOfTheCatalogue) {
  copy_catalogue(path("catalogue"));
  Paths paths;
  paths.providers = path("catalogue");
  const Config first = config::load(paths).config;
  const Config second = read_back(dump(first)).config;
  ASSERT_EQ(second.profiles.size(), first.profiles.size());
  for (const auto& [id, profile] : first.profiles) {
    Account before, after;
    before.profile = profile;
    after.profile = second.profiles.at(id);
    Config one, other;
    one.profiles.emplace(id, profile);
    other.profiles.emplace(id, after.profile);
    EXPECT_EQ(dump(one), dump(other)) << id;
  }
}

TEST_F(Dump, NeverShowsASecret) {
  constexpr std::string_view kCanary = "canary-7d1f0c";
  secret("etc/accounts.d/acme.secret", std::string(kCanary) + "\n");
  write("etc/providers.d/a.toml", "[provider.acme]\ngrants = [\"password\"]\n");
  account(
      "[account.a]\nprovider = \"acme\"\ngrant = \"password\"\nclient_id = \"x\"\nusername = \"someone\"\n"
      "client_secret = { file = \"acme.secret\" }\npassword = { file = \"acme.secret\" }\n");
  const Loaded loaded = load();
  ASSERT_TRUE(loaded.usable());
  const std::string text = dump(loaded.config);
  EXPECT_EQ(text.find(kCanary), std::string::npos);
  EXPECT_NE(text.find("client_secret = { file = \"" + path("etc/accounts.d/acme.secret") + "\" }"), std::string::npos);
}

// Whatever is wrong around an inline secret, no message repeats it.
TEST_F(Reload, ProblemsNeverShowASecret) {
  constexpr std::string_view kCanary = "canary-7d1f0c";
  const std::string canary(kCanary);
  for (const std::string& line :
       {"client_secret = \"" + canary + "\"", "password = \"" + canary + "\"", "client_secret = [\"" + canary + "\"]",
        "client_secret = " + canary, "client_secret = { value = \"" + canary + "\" }", "secret = \"" + canary + "\"",
        "client_secret = { command = \"" + canary + "\" }", "client_secret = { file = [\"" + canary + "\"] }",
        "client_key = \"\"\"-----BEGIN PRIVATE KEY-----\n" + canary + "\n\"\"\"", "client_secret = '" + canary,
        "client_id = \"" + canary + "\\u0000\"", "username = [\"" + canary + "\"]"}) {
    account("[account.a]\nprovider = \"acme\"\ngrant = \"client_credentials\"\n" + line + "\n");
    const Loaded loaded = load();
    EXPECT_FALSE(loaded.usable()) << line;
    for (const std::string& problem : shown(loaded))
      EXPECT_EQ(problem.find(kCanary), std::string::npos) << problem;
  }
}

}  // namespace
}  // namespace credsync::config
