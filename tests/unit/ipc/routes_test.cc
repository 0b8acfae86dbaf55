// Every path with a service that answers at once: what is asked of the service, and what the caller reads.
#include <nlohmann/json.hpp>

#include "ipc/http/routes.h"
#include "tests/unit/ipc/http_harness.h"

namespace credsync::ipc::http {
namespace {

using Json = nlohmann::json;

class RoutesTest : public HttpTest {
 protected:
  RoutesTest() { service_.add("flat-me"); }
  const fakes::FakeService::Asked& last() { return service_.asked.back(); }
};

TEST_F(RoutesTest, GivesAToken) {
  service_.account("flat-me").extra = {{"instance_url", "https://eu.example"}};
  const Response response = get("/v1/accounts/flat-me/token");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("content-type"), "application/json");
  EXPECT_EQ(response.headers.at("cache-control"), "no-store");
  const Json expected = Json::parse(R"({
    "account": "flat-me", "access_token": "token-of-an-account", "token_type": "Bearer",
    "expires_at": "2030-03-17T17:46:40Z", "expires_in": 3600, "scope": ["read", "write"], "generation": 7,
    "min_valid_met": true, "state": "ok", "header": {"name": "Authorization", "value": "Bearer token-of-an-account"},
    "extra": {"instance_url": "https://eu.example"}})");
  EXPECT_EQ(Json::parse(response.body), expected);
  EXPECT_EQ(last().min_valid, 0s);
  EXPECT_EQ(last().wait, 10s);
  EXPECT_EQ(last().caller.uid, ::geteuid());
  EXPECT_EQ(last().caller.pid, ::getpid());
}

TEST_F(RoutesTest, SaysNullWhereTheEndOfATokenIsUnknown) {
  service_.account("flat-me").expires_at.reset();
  service_.account("flat-me").expires_in.reset();
  const Json token = Json::parse(get("/v1/accounts/flat-me/token").body);
  EXPECT_TRUE(token.at("expires_at").is_null());
  EXPECT_TRUE(token.at("expires_in").is_null());
}

TEST_F(RoutesTest, RunningPartsFollowWhileTheRestIsKept) {
  Client client = connect();
  send(client, request("GET", "/v1/accounts/flat-me/token"));
  EXPECT_EQ(Json::parse(read(client).body).at("expires_in"), 3600);
  fakes::FakeAccount& account = service_.account("flat-me");
  EXPECT_FALSE(account.memo.empty());
  account.expires_in = 9s;
  account.min_valid_met = false;
  send(client, request("GET", "/v1/accounts/flat-me/token"));
  const Json later = Json::parse(read(client).body);
  EXPECT_EQ(later.at("expires_in"), 9);
  EXPECT_EQ(later.at("min_valid_met"), false);
  account.token = "next";
  account.memo = Secret();
  send(client, request("GET", "/v1/accounts/flat-me/token"));
  EXPECT_EQ(Json::parse(read(client).body).at("access_token"), "next");
}

TEST_F(RoutesTest, EscapesWhateverAProviderPutsIntoItsAnswer) {
  fakes::FakeAccount& account = service_.account("flat-me");
  account.token = "a\"b\\c\x01\xff";
  account.scope = {"sp\"ace", "\n"};
  account.extra = {{"na\"me", "\t"}};
  const Json token = Json::parse(get("/v1/accounts/flat-me/token").body);
  EXPECT_EQ(token.at("access_token"), "a\"b\\c\x01\xef\xbf\xbd");
  EXPECT_EQ(token.at("scope"), Json({"sp\"ace", "\n"}));
  EXPECT_EQ(token.at("extra"), Json({{"na\"me", "\t"}}));
}

TEST_F(RoutesTest, ReadsTheParametersOfAToken) {
  EXPECT_EQ(get("/v1/accounts/flat-me/token?min_valid=60&wait=0").status, 200);
  EXPECT_EQ(last().min_valid, 60s);
  EXPECT_EQ(last().wait, 0s);
  EXPECT_EQ(get("/v1/accounts/flat-me/token?wait=60&min%5Fvalid=31536000").status, 200);
  EXPECT_EQ(last().min_valid, days(365));
  EXPECT_EQ(last().wait, 60s);
}

TEST_F(RoutesTest, AnEscapedPathIsTheSamePath) {
  EXPECT_EQ(get("/v1/%61ccounts/flat%2Dme/t%6fken").status, 200);
  EXPECT_EQ(last().account, "flat-me");
}

TEST_F(RoutesTest, TakesTheAbsoluteForm) {
  EXPECT_EQ(get("http://credsync/v1/accounts/flat-me/token?wait=1").status, 200);
  EXPECT_EQ(get("HTTP://x/v1/health").status, 200);
  EXPECT_EQ(get("http://x").status, 404);
  EXPECT_EQ(get("http://x?y=1").status, 404);
  EXPECT_EQ(get("https://x/v1/health").status, 400);
}

TEST_F(RoutesTest, GivesTheStatusOfOneAndOfAll) {
  const Response one = get("/v1/accounts/flat-me");
  EXPECT_EQ(one.status, 200);
  const Json status = Json::parse(one.body);
  EXPECT_EQ(status.at("state"), "ok");
  EXPECT_EQ(status.at("since"), "2027-01-15T08:00:00Z");
  EXPECT_TRUE(status.at("error").is_null());
  EXPECT_TRUE(status.at("next_step").is_null());
  EXPECT_TRUE(status.at("lifetime").is_null());
  EXPECT_EQ(status.at("retiring"), Json::parse(R"({"pending":0,"unrevoked":0,"next":null})"));
  EXPECT_EQ(status.size(), 21U);
  service_.add("second");
  const Json all = Json::parse(get("/v1/accounts").body);
  ASSERT_EQ(all.at("accounts").size(), 2U);
  EXPECT_EQ(all.at("accounts")[0], status);
}

TEST_F(RoutesTest, RejectsByGenerationOrByToken) {
  service_.account("flat-me").reject_retry_after = 1500ms;
  const Response response = post("/v1/accounts/flat-me/reject", R"({"generation":7})");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("retry-after"), "2");
  EXPECT_EQ(Json::parse(response.body), Json::parse(R"({"account":"flat-me","generation":7})"));
  EXPECT_EQ(last().generation, 7U);
  EXPECT_EQ(post("/v1/accounts/flat-me/reject", R"( { "access_token" : "a\u00e9\/b" } )").status, 200);
  EXPECT_EQ(last().secret, "a\xc3\xa9/b");
}

TEST_F(RoutesTest, Refreshes) {
  for (const std::string body : {"", "{}"}) {
    const Response response = post("/v1/accounts/flat-me/refresh", body);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(Json::parse(response.body).at("account"), "flat-me");
    EXPECT_EQ(last().operation, "refresh");
  }
}

TEST_F(RoutesTest, TakesASecretToSignInWith) {
  const struct {
    std::string_view name;
    LoginMethod method;
  } methods[] = {{"auto", LoginMethod::kAuto},       {"refresh_token", LoginMethod::kRefreshToken},
                 {"token", LoginMethod::kToken},     {"password", LoginMethod::kPassword},
                 {"browser", LoginMethod::kBrowser}, {"device", LoginMethod::kDevice}};
  for (const auto& [name, method] : methods) {
    const std::string body = R"({"method":")" + std::string(name) + R"(","secret":"s3cret","username":"u"})";
    EXPECT_EQ(post("/v1/accounts/flat-me/login", body).status, 200);
    EXPECT_EQ(last().method, method);
    EXPECT_EQ(last().secret, "s3cret");
    EXPECT_EQ(last().username, "u");
  }
  EXPECT_EQ(post("/v1/accounts/flat-me/login", "{}").status, 200);
  EXPECT_EQ(last().method, LoginMethod::kAuto);
}

TEST_F(RoutesTest, BeginsWaitsForAnswersAndCancelsASignIn) {
  LoginView view;
  view.id = "00112233445566778899aabbccddeeff";
  view.account = "flat-me";
  view.method = "browser";
  view.url = "https://flat.example/authorize";
  service_.account("flat-me").begins = view;
  const Response begun =
      post("/v1/accounts/flat-me/login", R"({"method":"browser","browser_uid":1234,"replace_identity":true})");
  EXPECT_EQ(begun.status, 201);
  EXPECT_EQ(begun.headers.at("location"), "/v1/logins/" + view.id);
  EXPECT_EQ(last().browser_user, uid_t{1234});
  EXPECT_TRUE(last().replace_identity);
  EXPECT_EQ(Json::parse(begun.body).at("url"), view.url);

  EXPECT_EQ(get("/v1/logins/" + view.id + "?wait=7").status, 200);
  EXPECT_EQ(last().operation, "wait_login");
  EXPECT_EQ(last().wait, Duration(7s));
  EXPECT_EQ(get("/v1/logins/" + view.id).status, 200);
  EXPECT_EQ(last().wait, Duration(10s));
  EXPECT_EQ(get("/v1/logins/" + view.id + "?wait=61").status, 400);
  EXPECT_EQ(post("/v1/logins/" + view.id + "/answer", R"({"redirect_url":"http://127.0.0.1/?code=c"})").status, 200);
  EXPECT_EQ(last().secret, "http://127.0.0.1/?code=c");
  for (const char* wrong : {"", "{}", R"({"redirect_url":""})", R"({"redirect_url":1})", R"({"code":"c"})"})
    EXPECT_EQ(post("/v1/logins/" + view.id + "/answer", wrong).status, 400) << wrong;
  const Response cancelled = ask(request("DELETE", "/v1/logins/" + view.id));
  EXPECT_EQ(cancelled.status, 200);
  EXPECT_EQ(Json::parse(cancelled.body).at("phase"), "cancelled");
}

TEST_F(RoutesTest, ASignInThatIsNotTheCallersIsLikeAMissingAccount) {
  const std::string missing = get("/v1/accounts/none").body;
  const std::string target = "/v1/logins/00112233445566778899aabbccddeeff";
  service_.logins["00112233445566778899aabbccddeeff"] = fakes::FakeLogin{::geteuid() + 1, {}, {}, false};
  for (const Response& response : {get(target), ask(request("DELETE", target)), get("/v1/logins/x"),
                                   post(target + "/answer", R"({"redirect_url":"u"})")}) {
    EXPECT_EQ(response.status, 404);
    EXPECT_EQ(response.body, missing);
  }
}

TEST_F(RoutesTest, RefusesSessionWishesThatAreNone) {
  for (const char* wrong : {R"({"browser_uid":"1000"})", R"({"browser_uid":-1})", R"({"browser_uid":4294967295})",
                            R"({"replace_identity":1})", R"({"replace_identity":"true"})"})
    EXPECT_EQ(post("/v1/accounts/flat-me/login", wrong).status, 400) << wrong;
}

TEST_F(RoutesTest, SignsOutAtOnceOrWithRevocationsPending) {
  Response response = ask(request("DELETE", "/v1/accounts/flat-me/grant"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(Json::parse(response.body), Json::parse(R"({"account":"flat-me","pending":0})"));
  service_.account("flat-me").pending_revocations = 2;
  response = ask(request("DELETE", "/v1/accounts/flat-me/grant"));
  EXPECT_EQ(response.status, 202);
  EXPECT_EQ(Json::parse(response.body).at("pending"), 2);
}

TEST_F(RoutesTest, TellsACallerWhoItIs) {
  const Json who = Json::parse(get("/v1/whoami").body);
  EXPECT_EQ(who.at("uid"), ::geteuid());
  EXPECT_EQ(who.at("user"), "alice");
  EXPECT_EQ(who.at("pid"), ::getpid());
  EXPECT_EQ(who.at("accounts")[0].at("rules")[0],
            Json::parse(R"({"rule":"accounts.d/a.toml:7","matches":true,"why":"user alice"})"));
  EXPECT_EQ(who.at("unit"), "score-sync.service");
  EXPECT_TRUE(who.at("unit_why").is_null());
  EXPECT_TRUE(who.at("exe").is_null());
  EXPECT_EQ(who.at("exe_why"), "it may not be read");
  EXPECT_FALSE(last().pid);
}

TEST_F(RoutesTest, TellsOfAnotherProcess) {
  EXPECT_EQ(get("/v1/whoami?pid=4711").status, 200);
  EXPECT_EQ(last().pid, 4711);
  service_.admin_problem = Problem{ProblemKind::kNotAllowed, "no", {}, {}, {}};
  EXPECT_EQ(get("/v1/whoami?pid=4711").status, 403);
  service_.asked.clear();
  for (const char* wrong : {"0", "-1", "x", "", "2147483648", "1&pid=2"})
    EXPECT_EQ(get(std::string("/v1/whoami?pid=") + wrong).status, 400) << wrong;
  EXPECT_TRUE(service_.asked.empty());
}

TEST_F(RoutesTest, AnswersTheAdministrator) {
  EXPECT_EQ(Json::parse(post("/v1/reload", "").body),
            Json::parse(R"({"reloaded":true,"changed":["a"],"added":["b"],"removed":["c"],"warnings":["careful"]})"));
  EXPECT_EQ(Json::parse(get("/v1/doctor").body).at("checks")[1].at("next_step"), "timedatectl");
  const Json records = Json::parse(get("/v1/audit").body).at("records");
  EXPECT_EQ(records[0].at("rule"), "flat.toml:9");
  EXPECT_EQ(records[0].at("unit"), "a.service");
  EXPECT_EQ(records[0].at("exe"), "/a");
  EXPECT_EQ(records[0].at("count"), 3);
  for (const char* nothing : {"uid", "pid", "unit", "exe"})
    EXPECT_TRUE(records[1].at(nothing).is_null()) << "the daemon by itself";
  EXPECT_FALSE(last().since);
  EXPECT_EQ(get("/v1/audit?since=1800000000").status, 200);
  EXPECT_EQ(last().since, wall_from_seconds(1'800'000'000));
  EXPECT_EQ(get("/v1/audit?since=2027-01-15T09:00:00.5+01:00").status, 200);
  EXPECT_EQ(last().since, wall_from_seconds(1'800'000'000));
  const Response metrics = get("/metrics");
  EXPECT_EQ(metrics.headers.at("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
  EXPECT_EQ(metrics.body, service_.metrics_text);
}

TEST_F(RoutesTest, ShowsTheProviders) {
  EXPECT_EQ(Json::parse(get("/v1/providers").body).at("providers")[0].at("grants")[1], "static");
  EXPECT_EQ(Json::parse(get("/v1/providers/flat").body).at("facts")[0].at("line"), 12);
  EXPECT_EQ(get("/v1/providers/none").status, 404);
  EXPECT_EQ(Json::parse(get("/v1/providers/none").body).at("detail"), "there is no such provider");
}

TEST_F(RoutesTest, IsAlive) {
  EXPECT_EQ(Json::parse(get("/v1/health").body), (Json{{"status", "ok"}, {"version", CREDSYNC_VERSION}}));
}

TEST_F(RoutesTest, AMissingAForbiddenAndAnImpossibleAccountAreTheSameBytes) {
  service_.add("others").only = ::geteuid() + 1;
  const std::vector<std::string> names{"missing", "others", "Not-A-Name", "%2e%2e", "a%20b", std::string(65, 'a'),
                                       "%ff",     "a%2fb",  "-a"};
  for (const auto& [method, ending] : std::vector<std::pair<std::string, std::string>>{
           {"GET", ""}, {"GET", "/token"}, {"POST", "/refresh"}, {"DELETE", "/grant"}}) {
    const std::string wanted = ask(request(method, "/v1/accounts/missing" + ending)).body;
    EXPECT_EQ(Json::parse(wanted).at("type"), "urn:credsync:error:no-such-account");
    for (const std::string& name : names) {
      const Response response = ask(request(method, "/v1/accounts/" + name + ending));
      EXPECT_EQ(response.status, 404) << name;
      EXPECT_EQ(response.body, wanted) << name;
    }
  }
  const Response wanted = get("/v1/events?account=missing");
  for (const std::string& name : names) {
    const Response response = get("/v1/events?account=" + name);
    EXPECT_EQ(response.head, wanted.head) << name;
    EXPECT_EQ(response.body, wanted.body) << name;
  }
  EXPECT_EQ(get("/v1/events?account=").body, wanted.body);
}

TEST_F(RoutesTest, SaysEveryProblemOfTheServiceAsADocument) {
  const struct {
    ProblemKind kind;
    int status;
    std::string_view name;
  } problems[] = {{ProblemKind::kBadRequest, 400, "bad-request"},
                  {ProblemKind::kNotAllowed, 403, "not-allowed"},
                  {ProblemKind::kNoSuchAccount, 404, "no-such-account"},
                  {ProblemKind::kNeedsLogin, 409, "needs-login"},
                  {ProblemKind::kSuspended, 409, "suspended"},
                  {ProblemKind::kLoginInProgress, 409, "login-in-progress"},
                  {ProblemKind::kLoginOver, 410, "login-over"},
                  {ProblemKind::kMethodNotAllowed, 405, "method-not-allowed"},
                  {ProblemKind::kTooLarge, 413, "too-large"},
                  {ProblemKind::kBusy, 429, "busy"},
                  {ProblemKind::kUnavailable, 503, "unavailable"},
                  {ProblemKind::kTimeout, 504, "timeout"}};
  for (const auto& [kind, status, name] : problems) {
    service_.account("flat-me").problem = Problem{kind, "why", "credsync login flat-me", {}, {}};
    const Response response = get("/v1/accounts/flat-me/token");
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.headers.at("content-type"), "application/problem+json");
    EXPECT_EQ(response.headers.at("cache-control"), "no-store");
    const Json problem = Json::parse(response.body);
    EXPECT_EQ(problem.at("type"), "urn:credsync:error:" + std::string(name));
    EXPECT_EQ(problem.at("status"), status);
    EXPECT_FALSE(problem.at("title").get<std::string>().empty());
    const bool again = kind == ProblemKind::kBusy || kind == ProblemKind::kUnavailable;
    EXPECT_EQ(response.headers.contains("retry-after"), again) << name;
    if (kind == ProblemKind::kNoSuchAccount) continue;
    EXPECT_EQ(problem.at("detail"), "why");
    EXPECT_EQ(problem.at("next_step"), "credsync login flat-me");
  }
}

TEST_F(RoutesTest, ARefusedReloadListsAllThatIsWrong) {
  service_.admin_problem = Problem{ProblemKind::kBadRequest, "not loaded", {}, {}, {"a.toml:1:2: x", "b.toml:3:4: y"}};
  const Response response = post("/v1/reload", "{}");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Json::parse(response.body).at("problems"), Json({"a.toml:1:2: x", "b.toml:3:4: y"}));
  EXPECT_TRUE(Json::parse(response.body).at("next_step").is_null());
}

TEST_F(RoutesTest, RetryAfterIsTheServicesWhenItKnows) {
  service_.account("flat-me").problem = Problem{ProblemKind::kUnavailable, "down", {}, 30s, {}};
  EXPECT_EQ(get("/v1/accounts/flat-me/token").headers.at("retry-after"), "30");
  service_.account("flat-me").problem->retry_after = 1ms;
  EXPECT_EQ(get("/v1/accounts/flat-me/token").headers.at("retry-after"), "1");
}

}  // namespace
}  // namespace credsync::ipc::http
