// Holds the server to docs/http-api.yaml: the same paths and methods, and for each status that the document
// lists a request that is answered so, with the content type, the headers and the body that the document has.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "ipc/http/routes.h"
#include "tests/unit/ipc/http_harness.h"
#include "tests/unit/ipc/json_schema.h"

namespace credsync::ipc::http {
namespace {

using Json = nlohmann::json;

// The document as JSON, by way of PyYAML, so that it is read as everybody else reads it.
Json read_document() {
  const std::string command =
      "python3 -c 'import json,sys,yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)' "
      "'" CREDSYNC_HTTP_API "'";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::string text;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    text.append(buffer, got);
  ::pclose(pipe);
  return Json::parse(text, nullptr, false);
}

const Json& document() {
  static const Json parsed = read_document();
  return parsed;
}

struct Operation_ {
  std::string path, method;  // "/v1/accounts/{account}", "get"
  const Json* about = nullptr;
};

std::vector<Operation_> operations() {
  std::vector<Operation_> all;
  for (const auto& [path, item] : document().at("paths").items()) {
    for (const auto& [method, about] : item.items()) {
      if (method != "parameters") all.push_back({path, method, &about});
    }
  }
  return all;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

// "/v1/accounts/{account}" as the table of routes has it: "/v1/accounts/{}".
std::string pattern_of(std::string path) {
  const std::size_t open = path.find('{');
  if (open != std::string::npos) path.erase(open + 1, path.find('}') - open - 1);
  return path;
}

class ApiDocumentTest : public HttpTest {
 protected:
  void SetUp() override {
    ASSERT_FALSE(document().is_discarded()) << "python3-yaml is needed to read the document";
    fakes::FakeAccount& account = service_.add("flat-me");
    account.extra = {{"instance_url", "https://eu.example"}};
    service_.add("a-person");
    start();
  }

  static constexpr const char* kLogin = "00112233445566778899aabbccddeeff";

  // A session as it is in the end, so that every member says something.
  static LoginView session() {
    LoginView view;
    view.id = kLogin;
    view.account = "a-person";
    view.provider = view.provider_title = view.client_id = "flat";
    view.grant = "authorization_code";
    view.method = "browser";
    view.phase = LoginPhase::kFailed;
    view.scopes = {"read", "write"};
    view.url = "https://flat.example/authorize";
    view.redirect_uri = "http://127.0.0.1:1/callback";
    view.error_class = "access_denied";
    view.problem = Problem{ProblemKind::kNeedsLogin, "denied", "credsync login a-person", {}, {}};
    return view;
  }
  void begin_session() {
    service_.logins[kLogin] = fakes::FakeLogin{::geteuid(), session(), {}, false};
    service_.account("a-person").begins = session();
  }

  static std::string target_of(const Operation_& operation, std::string name = {}) {
    if (name.empty()) name = operation.path.find("provider") == std::string::npos ? "flat-me" : "flat";
    if (operation.path.starts_with("/v1/logins") && name != "none") name = kLogin;
    std::string path = pattern_of(operation.path);
    const std::size_t place = path.find("{}");
    if (place != std::string::npos) path.replace(place, 2, name);
    return path;
  }

  static std::string body_of(const Operation_& operation) {
    if (!operation.about->contains("requestBody")) return {};
    if (operation.path.ends_with("/answer")) return R"({"redirect_url":"http://127.0.0.1:1/callback?code=c"})";
    return operation.path.ends_with("/reject") ? R"({"generation":7})" : R"({"method":"token","secret":"s"})";
  }

  Response ask_for(const Operation_& operation, std::string target) {
    return ask_with(operation, std::move(target), body_of(operation));
  }
  Response ask_with(const Operation_& operation, const std::string& target, const std::string& body) {
    Client client = connect();
    send(client, request(upper(operation.method), target, body));
    Response response = read(client);
    client.leave();
    until([&] { return server_->counts().connections == 0; });
    return response;
  }

  void refuse_with(ProblemKind kind) {
    const Problem problem{kind, "why", "credsync login flat-me", {}, {}};
    service_.account("flat-me").problem = problem;
    service_.admin_problem = problem;
    service_.logins[kLogin].problem = problem;
  }

  // A request of this operation that must be answered with this status.
  Response provoke(const Operation_& operation, int status) {
    const std::string target = target_of(operation);
    switch (status) {
      case 200: return ask_for(operation, target);
      case 201: return ask_for(operation, target_of(operation, "a-person"));
      case 202: service_.account("flat-me").pending_revocations = 1; return ask_for(operation, target);
      case 400: return ask_for(operation, target + "?not_a_parameter=1");
      case 403:
        refuse_with(ProblemKind::kNotAllowed);
        return ask_for(operation, operation.path == "/v1/whoami" ? target + "?pid=1" : target);
      case 404:
        return ask_for(operation,
                       operation.path == "/v1/events" ? target + "?account=none" : target_of(operation, "none"));
      case 409: refuse_with(ProblemKind::kNeedsLogin); return ask_for(operation, target);
      case 410: refuse_with(ProblemKind::kLoginOver); return ask_for(operation, target);
      case 413: return ask_with(operation, target, std::string(70'000, ' '));
      case 429:
        service_.account("flat-me").waits = true;
        service_.logins[kLogin].waits = true;
        server_->set_limits(Limits{64, 0, 0, 4096});
        return ask_for(operation, target);
      case 503:
        if (operation.path != "/v1/events") return refuse_with(ProblemKind::kUnavailable), ask_for(operation, target);
        return ask_while_stopping(operation, target);
      case 504: refuse_with(ProblemKind::kTimeout); return ask_for(operation, target);
      default: return {};
    }
  }

  Response ask_while_stopping(const Operation_& operation, const std::string& target) {
    const std::string bytes = request(upper(operation.method), target);
    Client client = connect();
    send(client, bytes.substr(0, 10));
    settle();
    server_->stop(5s, [] {});
    send(client, bytes.substr(10));
    return read(client);
  }

  void expect_documented(const Json& about, const Response& response) {
    JsonSchema schemas(document());
    const std::string type = response.headers.at("content-type");
    ASSERT_TRUE(about.at("content").contains(type)) << type;
    EXPECT_EQ(response.headers.at("cache-control"), "no-store");
    const Json headers = about.value("headers", Json::object());
    for (const auto& [name, header] : headers.items()) {
      std::string lower = name;
      std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
      const bool there = response.headers.contains(lower);
      EXPECT_TRUE(name == "Retry-After" || name == "Location") << name;
      EXPECT_TRUE(there || !header.value("required", false));
    }
    if (!type.ends_with("json")) return;
    const auto wrong = schemas.check(about.at("content").at(type).at("schema"), Json::parse(response.body));
    EXPECT_TRUE(wrong.empty()) << Json(wrong).dump(2) << response.body;
  }
};

TEST_F(ApiDocumentTest, HasThePathsAndMethodsOfTheServer) {
  std::set<std::pair<std::string, std::string>> documented, served;
  for (const Operation_& operation : operations())
    documented.emplace(upper(operation.method), pattern_of(operation.path));
  for (const Route& route : routes())
    served.emplace(route.method, route.pattern);
  EXPECT_EQ(documented, served);
}

TEST_F(ApiDocumentTest, EveryStatusItListsIsAnsweredAsItSays) {
  std::size_t seen = 0;
  for (const Operation_& operation : operations()) {
    for (const auto& [status, response_or_reference] : operation.about->at("responses").items()) {
      SCOPED_TRACE(operation.method + " " + operation.path + " " + status);
      server_.reset();
      service_.account("flat-me").problem.reset();
      service_.account("flat-me").waits = false;
      service_.account("flat-me").pending_revocations = 0;
      service_.admin_problem.reset();
      begin_session();
      start();
      const Response response = provoke(operation, std::stoi(status));
      EXPECT_EQ(std::to_string(response.status), status) << response.body;
      if (std::to_string(response.status) != status) continue;
      expect_documented(JsonSchema(document()).resolve(response_or_reference), response);
      ++seen;
    }
  }
  EXPECT_GT(seen, 76U);
}

TEST_F(ApiDocumentTest, AStatusThatSaysEverythingFitsToo) {
  service_.account("flat-me").decorate = [](AccountStatus& s) {
    const WallTime then = wall_from_seconds(1'800'000'000);
    s.state = "needs-login";
    s.lifetime = 3600s;
    s.next_refresh = s.refresh_expires_at = s.last_used = then;
    s.error = AccountStatus::Trouble{"dead", "the provider calls the grant invalid", then};
    s.next_step = AccountStatus::NextStep{"sign in again", "credsync login flat-me"};
    s.retiring = {2, 1, then};
    s.notes = {"a note"};
  };
  for (const Operation_& operation : operations()) {
    if (operation.path != "/v1/accounts/{account}" && operation.path != "/v1/accounts") continue;
    const Json& about = JsonSchema(document()).resolve(operation.about->at("responses").at("200"));
    expect_documented(about, ask_for(operation, target_of(operation)));
  }
}

TEST_F(ApiDocumentTest, ATokenWithoutAnEndFitsToo) {
  service_.account("flat-me").expires_at.reset();
  service_.account("flat-me").expires_in.reset();
  JsonSchema schemas(document());
  const Json token = Json::parse(get("/v1/accounts/flat-me/token").body);
  EXPECT_EQ(schemas.check(document().at("components").at("schemas").at("Token"), token), std::vector<std::string>{});
}

TEST_F(ApiDocumentTest, ARefusedReloadFits) {
  service_.admin_problem = Problem{ProblemKind::kBadRequest, "not loaded", {}, {}, {"a.toml:1:2: x"}};
  JsonSchema schemas(document());
  const Json problem = Json::parse(post("/v1/reload", "").body);
  EXPECT_EQ(schemas.check(document().at("components").at("schemas").at("Problem"), problem),
            std::vector<std::string>{});
}

TEST_F(ApiDocumentTest, EventsFit) {
  Client client = connect();
  send(client, request("GET", "/v1/events"));
  ASSERT_TRUE(until([&] { return service_.streams() == 1; }));
  service_.emit({Event::Kind::kToken, "flat-me", "ok", wall_from_seconds(1), 8, std::nullopt});
  ASSERT_TRUE(
      until([&] { return client.read_available(), client.received.find("event: token") != std::string::npos; }));
  JsonSchema schemas(document());
  std::set<std::string> kinds;
  for (std::size_t at = 0; (at = client.received.find("event: ", at)) != std::string::npos;) {
    const std::size_t data = client.received.find("\ndata: ", at);
    const std::string kind = client.received.substr(at + 7, data - at - 7);
    const std::size_t end = client.received.find("\n\n", data);
    const Json& schema = document().at("components").at("schemas").at(kind == "token" ? "TokenEvent" : "StateEvent");
    const Json value = Json::parse(client.received.substr(data + 7, end - data - 7));
    EXPECT_EQ(schemas.check(schema, value), std::vector<std::string>{});
    kinds.insert(kind);
    at = end;
  }
  EXPECT_EQ(kinds, (std::set<std::string>{"state", "token"}));
}

TEST_F(ApiDocumentTest, ParametersAreTakenWithinTheirBoundsAndNotBeyond) {
  begin_session();
  for (const Operation_& operation : operations()) {
    for (const Json& parameter : operation.about->value("parameters", Json::array())) {
      SCOPED_TRACE(operation.path + " " + parameter.at("name").get<std::string>());
      ASSERT_EQ(parameter.at("in"), "query");
      const std::string target = target_of(operation) + "?" + parameter.at("name").get<std::string>() + "=";
      const Json& schema = parameter.at("schema");
      if (schema.at("type") == "integer") {
        const auto least = schema.at("minimum").get<std::int64_t>(), most = schema.at("maximum").get<std::int64_t>();
        EXPECT_EQ(ask_for(operation, target + std::to_string(least)).status, 200);
        EXPECT_EQ(ask_for(operation, target + std::to_string(most)).status, 200);
        EXPECT_EQ(ask_for(operation, target + std::to_string(least - 1)).status, 400);
        EXPECT_EQ(ask_for(operation, target + std::to_string(most + 1)).status, 400);
      } else {
        for (const std::string value : schema.at("examples"))
          EXPECT_EQ(ask_for(operation, target + value).status, 200);
      }
    }
  }
}

}  // namespace
}  // namespace credsync::ipc::http
