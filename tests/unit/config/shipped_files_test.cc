// What an admin gets besides the catalogue: the commented configuration, the examples of accounts and the man
// page say what the reader understands.
#include <fstream>
#include <regex>
#include <sstream>

#include "daemon/config/writer.h"
#include "tests/unit/config/config_fixture.h"

namespace credsync::config {
namespace {

std::string text_of(const std::string& name) {
  std::ifstream in(CREDSYNC_SOURCE_DIR "/" + name);
  EXPECT_TRUE(in.good()) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

// Lines such as `# workers = 32` and `# [[defaults.allow]]` without their `# `.
std::string uncommented(const std::string& text) {
  static const std::regex kCommented(R"(# (\[\[?[a-z.\-]+\]\]?|[a-z_]+ = .*))");
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    out += (std::regex_match(line, match, kCommented) ? match[1].str() : line) + "\n";
  }
  return out;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

class ShippedFiles : public ConfigTest {
 protected:
  ShippedFiles() {
    for (const char* name : {"flat", "flume", "fflogs", "example"})
      secret("etc/accounts.d/" + std::string(name) + ".secret", "x");
    secret("etc/accounts.d/flume.password", "x");
  }
  void use_the_catalogue() { copy_catalogue(paths_.providers); }
};

TEST_F(ShippedFiles, TheConfigurationLoadsAsItIs) {
  write("etc/credsyncd.toml", text_of("config/credsyncd.toml"));
  EXPECT_EQ(problems(), std::vector<std::string>{});
}

TEST_F(ShippedFiles, TheConfigurationShowsEveryKeyWithItsDefault) {
  std::string text = uncommented(text_of("config/credsyncd.toml"));
  // Two ways to say the same, and a rule that is an example: neither is a default.
  text = text.substr(0, text.find("[[defaults.allow]]"));
  text = std::regex_replace(text, std::regex("key = \\{[^\n]*\n"), "");
  const Config defaults = load().config;
  write("etc/credsyncd.toml", text + "\n[account.a]\nprovider = \"acme\"\ngrant = \"static\"\n");
  const Loaded loaded = load();
  ASSERT_EQ(shown(loaded), std::vector<std::string>{});
  const Config& config = loaded.config;
  EXPECT_EQ(config.listen.http, defaults.listen.http);
  EXPECT_EQ(config.listen.dbus, defaults.listen.dbus);
  EXPECT_EQ(config.refresh.workers, defaults.refresh.workers);
  EXPECT_EQ(config.callers.max_connections_per_user, defaults.callers.max_connections_per_user);
  EXPECT_EQ(config.callers.max_waiting_per_user, defaults.callers.max_waiting_per_user);
  EXPECT_EQ(config.callers.max_subscriptions_per_user, defaults.callers.max_subscriptions_per_user);
  Account plain;
  plain.provider = "acme";
  plain.grant = provider::Grant::kStatic;
  EXPECT_EQ(lines_of(*config.accounts.at("a")), lines_of(plain));
  const std::vector<std::string> keys = {"http",
                                         "dbus",
                                         "backend",
                                         "workers",
                                         "max_connections_per_user",
                                         "max_waiting_per_user",
                                         "max_subscriptions_per_user",
                                         "max_requests_per_second",
                                         "refresh",
                                         "margin",
                                         "revoke_superseded",
                                         "revoke_grace",
                                         "ca_file",
                                         "allow_http_loopback"};
  for (const std::string& key : keys)
    EXPECT_NE(text.find("\n" + key + " = "), std::string::npos) << key;
}

TEST_F(ShippedFiles, TheExamplesOfAccountsLoadOnceFilledIn) {
  use_the_catalogue();
  for (const char* name : {"flat", "flume", "fflogs", "example"}) {
    const std::string file = std::string(name) + ".toml";
    const std::string text = text_of("config/accounts.d/" + file + ".example");
    write("etc/accounts.d/" + file, replaced(text, "…", "filled-in"));
    EXPECT_EQ(problems(), std::vector<std::string>{}) << name;
    write("etc/accounts.d/" + file, replaced(uncommented(text), "…", "filled-in"));
    EXPECT_EQ(problems(), std::vector<std::string>{}) << name << " with what is commented out";
  }
  EXPECT_EQ(load().config.accounts.size(), 5u);
}

TEST_F(ShippedFiles, TheManPagesExamplesLoad) {
  std::istringstream lines(text_of("docs/man/credsyncd.toml.5"));
  std::vector<std::string> examples;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(".Bd -literal")) examples.emplace_back();
    if (line == ".Ed") inside = false;
    if (inside) examples.back() += line + "\n";
    if (line.starts_with(".Bd -literal")) inside = true;
  }
  ASSERT_EQ(examples.size(), 3u);
  use_the_catalogue();
  write("etc/accounts.d/example.toml", examples[0]);
  write("etc/providers.d/a.toml", examples[1]);
  write("etc/providers.d/b.toml", examples[2]);
  EXPECT_EQ(problems(), std::vector<std::string>{});
  EXPECT_EQ(load().config.profiles.at("acme-proxy")->revoke.access_cascade, provider::Cascade::kNone);
}

// A profile and an account in which every optional key has a value.
provider::Profile full_profile() {
  provider::Profile profile;
  profile.vars["v"].fallback = "x";
  profile.parameters[provider::RequestKind::kCode];
  profile.answer.success = provider::SuccessTest{"ok", "true"};
  profile.answer.default_lifetime = 1s;
  profile.refresh.overlap = profile.refresh.access_overlap = profile.refresh.idle_life = profile.refresh.absolute_life =
      1s;
  profile.revoke.auth = provider::ClientAuth::kNone;
  profile.limits.requests_per_second = 1;
  return profile;
}

Account full_account() {
  Account account;
  account.client_id = account.client_key_id = account.client_certificate = account.username = account.redirect_uri =
      account.ca_file = "x";
  account.client_secret = account.client_key = account.password = {SecretSource::Kind::kCredential, "x", {}};
  account.keep_password = true;
  account.redirect_port = 1;
  account.vars["v"] = account.params["p"] = "x";
  return account;
}

TEST_F(ShippedFiles, TheManPageExplainsEveryKey) {
  const std::string page = text_of("docs/man/credsyncd.toml.5");
  // A key is the subject of a list item, alone or among others, or is named in the text with .Ic.
  const auto explained = [&](const std::string& key) {
    return std::regex_search(page, std::regex("\\.(It )?Ic [^\n]*\\b" + key + "\\b"));
  };
  Lines lines = lines_of(full_profile());
  const Lines account = lines_of(full_account());
  lines.insert(lines.end(), account.begin(), account.end());
  EXPECT_GT(lines.size(), 100u);
  for (const auto& [path, value] : lines) {
    const std::string key = path.substr(path.rfind('.') + 1);
    EXPECT_TRUE(explained(key)) << path;
  }
  for (const char* key : {"http",
                          "dbus",
                          "backend",
                          "key",
                          "workers",
                          "max_connections_per_user",
                          "max_waiting_per_user",
                          "max_subscriptions_per_user",
                          "file",
                          "credential",
                          "command",
                          "user",
                          "group",
                          "actions",
                          "unit",
                          "exe",
                          "extends",
                          "sources",
                          "status",
                          "request",
                          "class"}) {
    EXPECT_TRUE(explained(key)) << key;
  }
}

}  // namespace
}  // namespace credsync::config
