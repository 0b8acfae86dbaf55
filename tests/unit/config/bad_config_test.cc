// What an admin can get wrong: each has exactly one message, with its place, what is wrong and what is
// allowed.
#include <unistd.h>

#include "tests/unit/config/config_fixture.h"

namespace credsync::config {
namespace {

struct Wrong {
  std::string what;
  std::string file;
  std::string text;
  std::string message;  // whole, but for the folder of the test
};

std::ostream& operator<<(std::ostream& out, const Wrong& wrong) {
  return out << wrong.what;
}

class WrongConfig : public ConfigTest, public ::testing::WithParamInterface<Wrong> {};

TEST_P(WrongConfig, HasOneClearMessage) {
  write(GetParam().file, GetParam().text);
  const std::vector<std::string> found = problems();
  ASSERT_EQ(found.size(), 1u) << ::testing::PrintToString(found);
  EXPECT_EQ(found[0], GetParam().message);
  EXPECT_FALSE(load().usable());
}

std::string test_name(const ::testing::TestParamInfo<Wrong>& info) {
  return info.param.what;
}

const std::string kSettings = "etc/credsyncd.toml";
INSTANTIATE_TEST_SUITE_P(
    Settings, WrongConfig,
    ::testing::Values(
        Wrong{"UnknownTable", kSettings, "[lissen]\n",
              "etc/credsyncd.toml:1:2: lissen: unknown key; did you mean `listen`?"},
        Wrong{"UnknownKey", kSettings, "[refresh]\nworker = 3\n",
              "etc/credsyncd.toml:2:1: refresh.worker: unknown key; did you mean `workers`?"},
        Wrong{"UnknownKeyNearNothing", kSettings, "[refresh]\ncolour = 3\n",
              "etc/credsyncd.toml:2:1: refresh.colour: unknown key; allowed are workers"},
        Wrong{"WrongType", kSettings, "[refresh]\nworkers = \"3\"\n",
              "etc/credsyncd.toml:2:1: refresh.workers: must be a whole number, not text"},
        Wrong{"OutOfRange", kSettings, "[refresh]\n  workers = 33\n",
              "etc/credsyncd.toml:2:3: refresh.workers: must be from 1 to 32"},
        Wrong{"TooManyConnections", kSettings, "[callers]\nmax_connections_per_user = 0\n",
              "etc/credsyncd.toml:2:1: callers.max_connections_per_user: must be from 1 to 4096"},
        Wrong{"RelativeSocket", kSettings, "[listen]\nhttp = \"api.sock\"\n",
              "etc/credsyncd.toml:2:1: listen.http: must be the absolute path of a socket, at most 107 bytes"},
        Wrong{"LongSocket", kSettings, "[listen]\nhttp = \"/" + std::string(107, 'x') + "\"\n",
              "etc/credsyncd.toml:2:1: listen.http: must be the absolute path of a socket, at most 107 bytes"},
        Wrong{"Bus", kSettings, "[listen]\ndbus = \"systm\"\n",
              "etc/credsyncd.toml:2:1: listen.dbus: `systm` is not known; did you mean `system`?"},
        Wrong{"Backend", kSettings, "[store]\nbackend = \"etcd\"\n",
              "etc/credsyncd.toml:2:1: store.backend: `etcd` is not known; allowed are sqlite"},
        Wrong{"KeyFromACommand", kSettings, "[store]\nkey = { command = [\"/bin/cat\"] }\n",
              "etc/credsyncd.toml:2:1: store.key: must be a file or a credential: a command cannot keep a "
              "key that is made on first "
              "start"},
        Wrong{"NotATable", kSettings, "listen = 3\n", "etc/credsyncd.toml:1:1: listen: must be a table: [listen]"},
        Wrong{"WrongPlace", "etc/accounts.d/b.toml", "[listen]\n",
              "etc/accounts.d/b.toml:1:2: listen: does not belong in this folder; it may hold only "
              "[account.NAME]"},
        Wrong{"AccountAmongProfiles", "etc/providers.d/b.toml", "[account.a]\n",
              "etc/providers.d/b.toml:1:2: account: does not belong in this folder; it may hold only "
              "[provider.NAME]"},
        Wrong{"MarginInDefaults", kSettings, "[defaults]\nmargin = \"soon\"\n",
              "etc/credsyncd.toml:2:1: defaults.margin: not a duration; write a whole number and a unit, "
              "like 90s, 10m, 12h or "
              "30d, or \"auto\""},
        Wrong{"AccountKeyInDefaults", kSettings, "[defaults]\nprovider = \"acme\"\n",
              "etc/credsyncd.toml:2:1: defaults.provider: unknown key; allowed are allow, "
              "allow_http_loopback, ca_file, margin, "
              "refresh, revoke_grace, revoke_superseded"}),
    test_name);

// An account of the fixture's provider that is right, with `more` after it.
Wrong account(std::string what, const std::string& more, const std::string& message) {
  return {std::move(what), "etc/accounts.d/b.toml",
          "[account.b]\nprovider = \"acme\"\ngrant = \"authorization_code\"\nclient_id = \"id\"\n"
          "client_secret = { file = \"acme.secret\" }\n" +
              more,
          "etc/accounts.d/b.toml:" + message};
}

// The same without some of its lines.
Wrong bare(std::string what, const std::string& body, const std::string& message) {
  return {std::move(what), "etc/accounts.d/b.toml", "[account.b]\n" + body, "etc/accounts.d/b.toml:" + message};
}

INSTANTIATE_TEST_SUITE_P(
    Accounts, WrongConfig,
    ::testing::Values(
        account("UnknownKey", "scope = [\"a\"]\n", "6:1: account.b.scope: unknown key; did you mean `scopes`?"),
        account("ScopesAsText", "scopes = \"a b\"\n", "6:1: account.b.scopes: must be an array, not text"),
        account("TwoScopesInOne", "scopes = [\"a b\"]\n",
                "6:1: account.b.scopes: one scope an entry: [\"a\", \"b\"], not [\"a b\"]"),
        account("NumberAmongScopes", "scopes = [\"a\", 3]\n",
                "6:16: account.b.scopes[1]: must be text, not a whole number"),
        account("Refresh", "refresh = \"always\"\n",
                "6:1: account.b.refresh: `always` is not known; allowed are ahead, on-demand, while-used"),
        account("GraceTooLong", "revoke_grace = \"2h\"\n", "6:1: account.b.revoke_grace: must be from 0s to 1h"),
        account("GraceAsNumber", "revoke_grace = 60\n",
                "6:1: account.b.revoke_grace: must be a duration in quotes, like \"90s\", \"10m\", \"12h\" "
                "or \"30d\""),
        account("MarginTooShort", "margin = \"0s\"\n", "6:1: account.b.margin: must be from 1s to 30d, or \"auto\""),
        account("Port", "redirect_port = 70000\n", "6:1: account.b.redirect_port: must be from 1 to 65535"),
        account("RedirectUri", "redirect_uri = \"callback\"\n",
                "6:1: account.b.redirect_uri: must be an absolute URI without spaces and fragment, exactly "
                "as registered at the "
                "provider"),
        account("UriAndPort", "redirect_port = 80\nredirect_uri = \"http://127.0.0.1/cb\"\n",
                "6:1: account.b.redirect_port: is part of redirect_uri already; remove one of the two"),
        account("OwnParameter", "params = { prompt = \"consent\", state = \"x\" }\n",
                "6:1: account.b.params: state is set by credsyncd itself"),
        account("Variable", "vars = { host = \"x\" }\n",
                "6:1: account.b.vars: host: the provider has no such variable; provider acme has no variables"),
        account("CaFileMissing", "ca_file = \"nowhere.pem\"\n",
                "6:1: account.b.ca_file: open etc/accounts.d/nowhere.pem: No such file or directory"),
        account("CaFileNotPem", "ca_file = \"../../providers/acme.toml\"\n",
                "6:1: account.b.ca_file: etc/accounts.d/../../providers/acme.toml holds no certificate in PEM "
                "(-----BEGIN CERTIFICATE-----)"),
        account("PasswordForACode", "password = { file = \"acme.secret\" }\n",
                "6:1: account.b.password: is for grant = \"password\" only"),
        account("KeepPasswordForACode", "keep_password = true\n",
                "6:1: account.b.keep_password: is for grant = \"password\" only"),
        account("KeyWithoutPem", "client_key = { file = \"acme.secret\" }\n",
                "6:1: account.b.client_key: etc/accounts.d/acme.secret holds no private key in PEM "
                "(-----BEGIN PRIVATE KEY-----)"),
        bare("NoProvider", "grant = \"static\"\n",
             "1:10: account.b.provider: is missing: the id of a provider profile, such as \"flat\""),
        bare("UnknownProvider", "provider = \"acmee\"\ngrant = \"static\"\n",
             "2:1: account.b.provider: no provider `acmee` is known; did you mean `acme`?"),
        bare("NoGrant", "provider = \"acme\"\n",
             "1:10: account.b.grant: is missing: how the account gets its tokens, such as "
             "\"authorization_code\""),
        bare("UnknownGrant", "provider = \"acme\"\ngrant = \"authorisation_code\"\n",
             "3:1: account.b.grant: `authorisation_code` is not known; did you mean `authorization_code`?"),
        bare("GrantNotOffered",
             "provider = \"acme\"\ngrant = \"device_code\"\nclient_id = \"x\"\n"
             "client_secret = { file = \"acme.secret\" }\n",
             "3:1: account.b.grant: provider acme offers no device_code; allowed are authorization_code, "
             "password, "
             "client_credentials, refresh_token, static"),
        bare("NoClientId",
             "provider = \"acme\"\ngrant = \"client_credentials\"\nclient_secret = { file = \"acme.secret\" "
             "}\n",
             "1:10: account.b.client_id: is missing"),
        bare("NoClientSecret", "provider = \"acme\"\ngrant = \"client_credentials\"\nclient_id = \"x\"\n",
             "1:10: account.b.client_secret: is missing: provider acme authenticates the client by post"),
        bare("NoUsername",
             "provider = \"acme\"\ngrant = \"password\"\nclient_id = \"x\"\nclient_secret = { file = "
             "\"acme.secret\" }\n",
             "1:10: account.b.username: is missing; grant = \"password\" needs it"),
        Wrong{"Name", "etc/accounts.d/b.toml", "[account.Me]\nprovider = \"acme\"\ngrant = \"static\"\n",
              "etc/accounts.d/b.toml:1:10: account.Me: a name is at most 64 of a-z, 0-9, '.', '_' and '-', "
              "and begins with a "
              "letter or digit"},
        Wrong{"NotATable", "etc/accounts.d/b.toml", "[account]\nb = 1\n",
              "etc/accounts.d/b.toml:2:1: account.b: must be a table: [account.b]"}),
    test_name);

const std::string kNeverInline =
    "a secret is never written here; use { file = \"…\" }, { credential = \"…\" } or { command = [\"/path\", "
    "\"…\"] }";

INSTANTIATE_TEST_SUITE_P(
    Secrets, WrongConfig,
    ::testing::Values(
        bare("Inline", "provider = \"acme\"\ngrant = \"static\"\nclient_secret = \"hunter2\"\n",
             "4:1: account.b.client_secret: " + kNeverInline),
        bare("InlineNumber", "provider = \"acme\"\ngrant = \"static\"\npassword = 12345\n",
             "4:1: account.b.password: " + kNeverInline),
        bare("TwoSources",
             "provider = \"acme\"\ngrant = \"static\"\nclient_secret = { file = \"a\", credential = \"b\" }\n",
             "4:1: account.b.client_secret: must have exactly one of file, credential and command"),
        bare("NoSource", "provider = \"acme\"\ngrant = \"static\"\nclient_secret = {}\n",
             "4:1: account.b.client_secret: must have exactly one of file, credential and command"),
        bare("UnknownSource",
             "provider = \"acme\"\ngrant = \"static\"\nclient_secret = { file = \"acme.secret\", fil = \"x\" "
             "}\n",
             "4:41: account.b.client_secret.fil: unknown key; did you mean `file`?"),
        bare("RelativeCommand",
             "provider = \"acme\"\ngrant = \"static\"\nclient_secret = { command = [\"pass\", \"x\"] }\n",
             "4:19: account.b.client_secret.command: must begin with the absolute path of a program; there "
             "is no shell and no "
             "search path"),
        bare("NoSuchCommand",
             "provider = \"acme\"\ngrant = \"static\"\nclient_secret = { command = [\"/nowhere/pass\"] }\n",
             "4:1: account.b.client_secret: /nowhere/pass: No such file or directory"),
        bare("CommandIsNoProgram",
             "provider = \"acme\"\ngrant = \"static\"\nclient_secret = { command = [\"/etc/passwd\"] }\n",
             "4:1: account.b.client_secret: /etc/passwd is not a program that can be run"),
        bare("CredentialIsAPath",
             "provider = \"acme\"\ngrant = \"static\"\nclient_secret = { credential = \"../x\" }\n",
             "4:19: account.b.client_secret.credential: must be the name of a credential, without / and not "
             "beginning with a dot"),
        bare("FileMissing", "provider = \"acme\"\ngrant = \"static\"\nclient_secret = { file = \"nowhere\" }\n",
             "4:1: account.b.client_secret: open etc/accounts.d/nowhere: No such file or directory")),
    test_name);

INSTANTIATE_TEST_SUITE_P(
    Rules, WrongConfig,
    ::testing::Values(
        account("Nobody", "[[account.b.allow]]\nactions = [\"get\"]\n",
                "6:1: account.b.allow[0]: a rule needs a user, a group or a unit, else it matches nobody"),
        account("UnknownUser", "[[account.b.allow]]\nuser = \"no-such-user\"\n",
                "7:1: account.b.allow[0].user: this system has no user `no-such-user`"),
        account("UnknownGroup", "[[account.b.allow]]\ngroup = \"no-such-group\"\n",
                "7:1: account.b.allow[0].group: this system has no group `no-such-group`"),
        account("OverflowId", "[[account.b.allow]]\nuser = 65534\n",
                "7:1: account.b.allow[0].user: 65534 stands for ids that cannot be told apart; it can never "
                "be allowed anything"),
        account("OverflowName", "[[account.b.allow]]\nuser = \"nobody\"\n",
                "7:1: account.b.allow[0].user: 65534 stands for ids that cannot be told apart; it can never "
                "be allowed anything"),
        account("NegativeId", "[[account.b.allow]]\nuser = -1\n",
                "7:1: account.b.allow[0].user: an id is from 0 to 4294967294"),
        account("NoId", "[[account.b.allow]]\nuser = 4294967295\n",
                "7:1: account.b.allow[0].user: an id is from 0 to 4294967294"),
        account("NotAUnit", "[[account.b.allow]]\nuser = \"root\"\nunit = \"x\"\n",
                "8:1: account.b.allow[0].unit: must be the full name of one system unit that runs programs, like "
                "score-sync.service"),
        account("ATemplate", "[[account.b.allow]]\nunit = \"x@.service\"\n",
                "7:1: account.b.allow[0].unit: must be the full name of one system unit that runs programs, like "
                "score-sync.service"),
        account("ASlice", "[[account.b.allow]]\nunit = \"system.slice\"\n",
                "7:1: account.b.allow[0].unit: must be the full name of one system unit that runs programs, like "
                "score-sync.service"),
        account("AUsersManager", "[[account.b.allow]]\nunit = \"user@1000.service\"\n",
                "7:1: account.b.allow[0].unit: what runs there belongs to a user, who names its units; use user"),
        account("UnitIsANumber", "[[account.b.allow]]\nunit = 7\n",
                "7:1: account.b.allow[0].unit: must be text, not a whole number"),
        account(
            "ExeOnly", "[[account.b.allow]]\nexe = \"/usr/bin/x\"\n",
            "6:1: account.b.allow[0]: exe only narrows, since anybody can run a program as he likes; the rule needs "
            "a user, a group or a unit beside it"),
        account(
            "RelativeExe", "[[account.b.allow]]\nuser = 0\nexe = \"bin/x\"\n",
            "8:1: account.b.allow[0].exe: must be an absolute path without \"//\", \"/./\" or \"/../\", as the kernel "
            "writes it"),
        account(
            "CrookedExe", "[[account.b.allow]]\nuser = 0\nexe = \"/usr/../bin/x\"\n",
            "8:1: account.b.allow[0].exe: must be an absolute path without \"//\", \"/./\" or \"/../\", as the kernel "
            "writes it"),
        account("Action", "[[account.b.allow]]\nuser = 0\nactions = [\"get\", \"refrsh\"]\n",
                "8:19: account.b.allow[0].actions[1]: `refrsh` is not known; did you mean `refresh`?"),
        account("NoAction", "[[account.b.allow]]\nuser = 0\nactions = []\n",
                "8:1: account.b.allow[0].actions: must name at least one of get, watch, refresh, login, admin"),
        account("Key", "[[account.b.allow]]\nuser = 0\naction = [\"get\"]\n",
                "8:1: account.b.allow[0].action: unknown key; did you mean `actions`?"),
        account("ATable", "[account.b.allow]\nuser = 0\n", "6:12: account.b.allow: must be an array, not a table")),
    test_name);

Wrong profile(std::string what, const std::string& more, const std::string& message) {
  return {std::move(what), "providers/bad.toml",
          "[provider.bad]\ngrants = [\"client_credentials\"]\nendpoints.token = \"https://bad.example/token\"\n" + more,
          "providers/bad.toml:" + message};
}

INSTANTIATE_TEST_SUITE_P(
    Profiles, WrongConfig,
    ::testing::Values(
        profile("UnknownKey", "ednpoints.revoke = \"x\"\n",
                "4:1: provider.bad.ednpoints: unknown key; did you mean `endpoints`?"),
        profile("UnknownEndpoint", "endpoints.tokn = \"https://bad.example\"\n",
                "4:11: provider.bad.endpoints.tokn: unknown key; did you mean `token`?"),
        profile("PlainHttp", "endpoints.revoke = \"http://bad.example/revoke\"\n",
                "4:11: provider.bad.endpoints.revoke.url: http:// is never used with another host; write "
                "https://"),
        profile("RelativeUrl", "endpoints.revoke = \"/revoke\"\n",
                "4:11: provider.bad.endpoints.revoke.url: must be an absolute URL that begins with https://"),
        profile("UserInUrl", "endpoints.revoke = \"https://me:pw@bad.example/revoke\"\n",
                "4:11: provider.bad.endpoints.revoke.url: user information before the host is not allowed"),
        profile("FragmentInUrl", "endpoints.revoke = \"https://bad.example/revoke#x\"\n",
                "4:11: provider.bad.endpoints.revoke.url: a fragment (#…) is not allowed"),
        profile("UndeclaredVariable", "endpoints.revoke = \"https://{host}/revoke\"\n",
                "4:11: provider.bad.endpoints.revoke.url: {host} is not declared under vars"),
        profile("TokenInTheWrongUrl", "endpoints.userinfo = \"https://bad.example/{token}\"\n",
                "4:11: provider.bad.endpoints.userinfo.url: {token} has a meaning only where tokens are revoked"),
        profile("Pattern", "vars.host = { pattern = \"[\" }\n",
                "4:15: provider.bad.vars.host.pattern: is not a regular expression (ECMAScript)"),
        profile("PatternThatGoesBack", "vars.host = { pattern = '(a)\\1' }\n",
                "4:15: provider.bad.vars.host.pattern: has a back reference"),
        profile("BigPattern", "vars.host = { pattern = \"a{2000}\" }\n",
                "4:15: provider.bad.vars.host.pattern: stands for more than 1024 characters, repetitions counted"),
        profile("DefaultAgainstPattern", "vars.host = { pattern = \"[a-z]+\", default = \"1\" }\n",
                "4:35: provider.bad.vars.host.default: does not match the pattern [a-z]+"),
        profile("Encoding", "endpoints.revoke = { url = \"https://bad.example/r\", encoding = \"xml\" }\n",
                "4:53: provider.bad.endpoints.revoke.encoding: `xml` is not known; allowed are form, json, "
                "query, multipart"),
        profile("Method", "endpoints.revoke = { url = \"https://bad.example/r\", method = \"get\" }\n",
                "4:53: provider.bad.endpoints.revoke.method: must be GET, POST, PUT, PATCH or DELETE"),
        profile("OurHeader", "endpoints.revoke = { url = \"https://bad.example/r\", headers = { host = \"x\" } }\n",
                "4:65: provider.bad.endpoints.revoke.headers.host: is set by credsyncd itself"),
        profile("RequestKind", "parameters.token.omit = [\"a\"]\n",
                "4:12: provider.bad.parameters.token: unknown key; allowed are authorize, code, refresh, "
                "password, "
                "client_credentials, device_start, device_poll, revoke, introspect, push"),
        profile("RevokeWithoutEndpoint", "revoke.how = \"rfc7009\"\n",
                "4:8: provider.bad.revoke.how: needs endpoints.revoke (or an issuer to discover it from)"),
        profile("PathWithoutToken", "revoke.how = \"path\"\nendpoints.revoke = \"https://bad.example/r\"\n",
                "4:8: provider.bad.revoke.how: \"path\" needs {token} in endpoints.revoke.url"),
        profile("MatchEverything", "errors.match = [ { class = \"needs-login\" } ]\n",
                "4:8: provider.bad.errors.match: entry 0 would match every answer; give it a status, a code "
                "or a request"),
        profile("Status", "revoke.success = [20]\nendpoints.revoke = \"https://bad.example/r\"\n",
                "4:19: provider.bad.revoke.success: an HTTP status is from 100 to 599"),
        profile("Overlap", "refresh.overlap = \"-1s\"\n",
                "4:9: provider.bad.refresh.overlap: not a duration; write a whole number and a unit, like "
                "90s, 10m, 12h or 30d, or "
                "\"unknown\""),
        profile("DottedPath", "answer.root = \"data..0\"\n",
                "4:8: provider.bad.answer.root: must be a dotted path such as data.0"),
        profile("GrantWithoutEndpoint",
                "[provider.worse]\ngrants = [\"device_code\"]\nendpoints.token = \"https://a.example\"\n",
                "5:1: provider.worse.grants: device_code needs endpoints.device (or an issuer to discover it "
                "from)"),
        profile("NoGrants", "[provider.worse]\nendpoints.token = \"https://a.example\"\n",
                "4:11: provider.worse.grants: is missing: the list of grants the provider offers, such as "
                "[\"authorization_code\"]"),
        profile("ExtendsNobody", "extends = \"acne\"\n",
                "4:1: provider.bad.extends: no profile has this id; did you mean `acme`?"),
        profile("ExtendsItself", "extends = \"bad\"\n",
                "4:1: provider.bad.extends: the chain of profiles that extend one another has no end"),
        profile("GuardOmitted", "parameters.authorize.omit = [\"state\"]\n",
                "4:22: provider.bad.parameters.authorize.omit: state guards the sign-in; authorize.state, "
                "nonce and pkce say what is used"),
        profile("GuardSet", "parameters.push.set = { code_challenge_method = \"plain\" }\n",
                "4:17: provider.bad.parameters.push.set: code_challenge_method guards the sign-in; "
                "authorize.state, nonce and pkce say what is used"),
        profile("IssuerToCompareWith", "authorize.iss_required = true\n",
                "4:11: provider.bad.authorize.iss_required: needs an issuer to compare with"),
        profile("NowhereToPush", "authorize.push_required = true\n",
                "4:11: provider.bad.authorize.push_required: needs endpoints.push (or an issuer to discover "
                "it from)"),
        profile("UnsignedIdTokens", "answer.id_token_algorithms = [\"none\"]\n",
                "4:8: provider.bad.answer.id_token_algorithms: must be RS, PS, ES or HS with 256, 384 or 512, "
                "or EdDSA"),
        profile("Delivery", "delivery.header = \"X Token\"\n",
                "4:10: provider.bad.delivery.header: is not the name of an HTTP header"),
        Wrong{"Id", "providers/bad.toml", "[provider.Bad]\n",
              "providers/bad.toml:1:11: provider.Bad: an id is at most 64 of a-z, 0-9, '.', '_' and '-', and "
              "begins with a letter "
              "or digit"}),
    test_name);

// The words are toml++'s own and differ between its versions; the place and what we add do not.
struct Syntax {
  std::string text;
  std::string place;
  std::string part;
};

std::ostream& operator<<(std::ostream& out, const Syntax& syntax) {
  return out << syntax.text;
}

class SyntaxErrors : public ConfigTest, public ::testing::WithParamInterface<Syntax> {};

TEST_P(SyntaxErrors, HaveAPlaceAndNeverShowAValue) {
  account(GetParam().text);
  const std::vector<std::string> found = problems();
  ASSERT_EQ(found.size(), 1u) << ::testing::PrintToString(found);
  EXPECT_TRUE(found[0].starts_with("etc/accounts.d/a.toml:" + GetParam().place)) << found[0];
  EXPECT_NE(found[0].find(GetParam().part), std::string::npos) << found[0];
  EXPECT_EQ(found[0].find("hunter2"), std::string::npos) << found[0];
}

INSTANTIATE_TEST_SUITE_P(
    Config, SyntaxErrors,
    ::testing::Values(Syntax{"[account.b\n", "1:", "expected ']'"},
                      Syntax{"[account.b]\nenabled = true\nenabled = true\n", "3:", "'enabled'"},
                      Syntax{"[account.b]\nenabled = true\n[account.b]\n", "3:1: ", "it is already defined on line 1"},
                      Syntax{"client_secret = hunter2-and-more\n", "1:17: ", "text is written in \"quotes\""},
                      Syntax{"client_secret = 12hunter2\n", "1:", "Error"},
                      Syntax{"client_secret = \"hunter2\n", "1:", "Error"},
                      Syntax{"client_secret = 99999999999999999999hunter2\n", "1:", "Error"},
                      Syntax{"client_secret = hunter2 hunter2\n", "1:", "Error"}, Syntax{"hunter2\n", "1:", "Error"},
                      Syntax{"client_secret = \"a\" hunter2\n", "1:", "Error"},
                      Syntax{"x = \"\\hunter2\"\n", "1:", "Error"}));

TEST_F(ConfigTest, AnAccountDefinedTwiceNamesBothPlaces) {
  const std::string text = "[account.b]\nprovider = \"acme\"\ngrant = \"static\"\n";
  write("etc/accounts.d/1.toml", "\n" + text);
  write("etc/accounts.d/2.toml", text);
  EXPECT_EQ(problems(),
            std::vector<std::string>{"etc/accounts.d/2.toml:1:10: account.b: is defined twice; the first is at "
                                     "etc/accounts.d/1.toml:2:10"});
}

TEST_F(ConfigTest, APlainHttpEndpointNeedsTheAccountsConsent) {
  write("providers/local.toml",
        "[provider.local]\ngrants = [\"client_credentials\"]\n[provider.local.endpoints]\ntoken = "
        "\"http://127.0.0.1:8080/token\"\n");
  const std::string text =
      "[account.b]\nprovider = \"local\"\ngrant = \"client_credentials\"\nclient_id = \"x\"\nclient_secret = "
      "{ file = \"acme.secret\" }\n";
  account(text);
  EXPECT_EQ(problems(), std::vector<std::string>{
                            "etc/accounts.d/a.toml:2:1: account.b.provider: endpoints.token.url of provider local "
                            "(providers/local.toml:4): http:// is only for tests on this host, and only with "
                            "allow_http_loopback = true in the account"});
  account(text + "allow_http_loopback = true\n");
  EXPECT_EQ(problems(), std::vector<std::string>{});
}

TEST_F(ConfigTest, ASecretOthersCanReadIsRefusedAndNamed) {
  account(
      "[account.b]\nprovider = \"acme\"\ngrant = \"client_credentials\"\nclient_id = \"x\"\nclient_secret = "
      "{ file = \"acme.secret\" }\n");
  write("etc/accounts.d/acme.secret", "s3cr3t\n", 0644);
  EXPECT_EQ(problems(),
            std::vector<std::string>{"etc/accounts.d/a.toml:5:1: account.b.client_secret: etc/accounts.d/acme.secret "
                                     "can be read by others; chmod 600 it"});
  write("etc/accounts.d/acme.secret", "\n", 0600);
  EXPECT_EQ(problems(), std::vector<std::string>{
                            "etc/accounts.d/a.toml:5:1: account.b.client_secret: etc/accounts.d/acme.secret is empty"});
}

TEST_F(ConfigTest, ASecretOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  account(
      "[account.b]\nprovider = \"acme\"\ngrant = \"client_credentials\"\nclient_id = \"x\"\nclient_secret = "
      "{ file = \"acme.secret\" }\n");
  ASSERT_EQ(0, ::chown(path("etc/accounts.d/acme.secret").c_str(), 12345, 0));
  EXPECT_EQ(problems(),
            std::vector<std::string>{"etc/accounts.d/a.toml:5:1: account.b.client_secret: etc/accounts.d/acme.secret "
                                     "belongs to another user; it must be owned by root or by the daemon's user"});
}

TEST_F(ConfigTest, AConfigFileOthersCanWriteIsRefused) {
  write("etc/credsyncd.toml", "[refresh]\n", 0666);
  write("etc/accounts.d/b.toml", "[account.b]\n", 0646);
  EXPECT_EQ(problems(), (std::vector<std::string>{"etc/accounts.d/b.toml: can be written by others; chmod go-w it",
                                                  "etc/credsyncd.toml: can be written by others; chmod go-w it"}));
}

TEST_F(ConfigTest, WhatIsNoFileOrTooLargeIsRefused) {
  std::filesystem::create_directory(path("etc/conf.d/a.toml"));
  ASSERT_EQ(0, ::mkfifo(path("etc/conf.d/b.toml").c_str(), 0600));
  write("etc/conf.d/c.toml", std::string(1024 * 1024 + 1, '#'));
  EXPECT_EQ(problems(), (std::vector<std::string>{"etc/conf.d/a.toml: is not a regular file",
                                                  "etc/conf.d/b.toml: is not a regular file",
                                                  "etc/conf.d/c.toml: is larger than 1048576 bytes"}));
}

// Depth costs stack; both ways to write it must end in a message.
TEST_F(ConfigTest, NestingIsBounded) {
  const auto repeated = [](std::string_view part, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i)
      out += part;
    return out;
  };
  for (const std::size_t depth : {100u, 10000u, 300000u}) {
    write("etc/conf.d/a.toml", repeated("a.", depth) + "b = 1\n");
    EXPECT_EQ(problems().size(), 1u) << depth;
    write("etc/conf.d/a.toml", "[" + repeated("a.", depth) + "b]\n");
    EXPECT_EQ(problems().size(), 1u) << depth;
    write("etc/conf.d/a.toml", "a = " + repeated("[", depth) + "\n");
    EXPECT_EQ(problems().size(), 1u) << depth;
    write("etc/conf.d/a.toml", "a = " + repeated("{a=", depth) + "\n");
    EXPECT_EQ(problems().size(), 1u) << depth;
    // Up to five quotes end a long text, and what follows is outside of it.
    for (const std::string end : {"\"\"\"\"", "\"\"\"\"\"", "''''", "'''''"}) {
      write("etc/conf.d/a.toml",
            "a = { t = " + end.substr(0, 3) + "x" + end + ", " + repeated("a.", depth) + "b = 1 }\n");
      EXPECT_EQ(problems().size(), 1u) << depth << end;
    }
  }
}

TEST_F(ConfigTest, AFolderNamedOnTheCommandLineMustExist) {
  paths_.config = path("nowhere");
  EXPECT_EQ(problems(), std::vector<std::string>{});
  paths_.config_must_exist = true;
  EXPECT_EQ(problems(), std::vector<std::string>{"nowhere: read folder: No such file or directory"});
}

TEST_F(ConfigTest, EveryProblemIsReportedNotOnlyTheFirst) {
  write("etc/credsyncd.toml", "[refresh]\nworkers = 0\n[callers]\nnothing = 1\n");
  write("etc/conf.d/x.toml", "syntax error\n");
  account(
      "[account.b]\nprovider = \"nope\"\ngrant = \"static\"\n[account.c]\nprovider = \"acme\"\ngrant = "
      "\"nope\"\n");
  EXPECT_EQ(problems().size(), 5u) << ::testing::PrintToString(problems());
}

TEST_F(ConfigTest, AListOfProblemsHasAnEnd) {
  std::string text;
  for (int i = 0; i < 1500; ++i)
    text += "[account.a" + std::to_string(i) + "]\nprovider = \"nope\"\ngrant = \"static\"\n";
  account(text);
  const auto found = problems();
  EXPECT_EQ(found.size(), 1001u);
  EXPECT_EQ(found.back(), "and 500 more problems");
}

TEST_F(ConfigTest, ABrokenProfileDoesNotBlameItsAccounts) {
  write("providers/bad.toml", "[provider.bad]\ngrants = []\nendpoints.token = \"https://a.example\"\n");
  account("[account.b]\nprovider = \"bad\"\ngrant = \"static\"\n");
  EXPECT_EQ(problems(),
            std::vector<std::string>{"providers/bad.toml:2:1: provider.bad.grants: is missing: the list of grants the "
                                     "provider offers, such as [\"authorization_code\"]"});
}

TEST_F(ConfigTest, ADisabledAccountMayNameFilesThatAreNotThereYet) {
  account(
      "[account.b]\nenabled = false\nprovider = \"acme\"\ngrant = \"client_credentials\"\nclient_id = \"x\"\n"
      "client_secret = { file = \"nowhere\" }\n");
  EXPECT_EQ(problems(), std::vector<std::string>{});
}

TEST_F(ConfigTest, ACredentialThatCannotBeLookedAtIsAWarning) {
  ::unsetenv("CREDENTIALS_DIRECTORY");
  account(
      "[account.b]\nprovider = \"acme\"\ngrant = \"client_credentials\"\nclient_id = \"x\"\nclient_secret = "
      "{ credential = \"acme\" }\n");
  EXPECT_EQ(problems(), std::vector<std::string>{
                            "etc/accounts.d/a.toml:5:1: warning: account.b.client_secret: cannot be checked here: "
                            "$CREDENTIALS_DIRECTORY is set by systemd only (LoadCredential=)"});
  EXPECT_TRUE(load().usable());
  ::setenv("CREDENTIALS_DIRECTORY", path("credentials").c_str(), 1);
  EXPECT_FALSE(load().usable());
  secret("credentials/acme", "x");
  EXPECT_EQ(problems(), std::vector<std::string>{});
  ::unsetenv("CREDENTIALS_DIRECTORY");
}

}  // namespace
}  // namespace credsync::config
