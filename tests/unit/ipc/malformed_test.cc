// Requests that must not get through: each is answered by its problem document, and nothing reaches the
// service.
#include <nlohmann/json.hpp>

#include "ipc/http/request_reader.h"
#include "tests/unit/ipc/http_harness.h"

namespace credsync::ipc::http {
namespace {

using Json = nlohmann::json;

struct Case {
  std::string name;
  std::string bytes;
  int status = 400;
  std::string type = "bad-request";
  bool closes = false;  // what follows on this connection cannot be told apart any more
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

std::string head(std::string_view first_line, std::string_view fields = {}) {
  return std::string(first_line) + "\r\nHost: x\r\n" + std::string(fields) + "\r\n";
}

std::string with_body(std::string_view target, std::string_view body) {
  return request("POST", target, body);
}

const std::string kToken = "/v1/accounts/flat-me/token";
const std::string kReject = "/v1/accounts/flat-me/reject";
const std::string kLogin = "/v1/accounts/flat-me/login";

std::vector<Case> broken_messages() {
  std::vector<Case> cases{
      {"no method", head(" /v1/health HTTP/1.1")},
      {"method with a colon", head("GE:T /v1/health HTTP/1.1")},
      {"TLS hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15)},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"no version", head("GET /v1/health")},
      {"lower case version", head("GET /v1/health http/1.1")},
      {"version 1.2", head("GET /v1/health HTTP/1.2")},
      {"version 0.9", head("GET /v1/health HTTP/0.9")},
      {"two spaces", head("GET  /v1/health HTTP/1.1")},
      {"space in the target", head("GET /v1/hea lth HTTP/1.1")},
      {"NUL in the target", head(std::string("GET /v1/he\0lth HTTP/1.1", 24))},
      {"tab in the target", head("GET /v1/he\tlth HTTP/1.1")},
      {"bare LF", "GET /v1/health HTTP/1.1\nHost: x\n\n"},
      {"bare LF after a field", "GET /v1/health HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"},
      {"bare CR", "GET /v1/health HTTP/1.1\r\nHost: x\rA: b\r\n\r\n"},
      {"space before the colon", head("GET /v1/health HTTP/1.1", "A : b\r\n")},
      {"field without a colon", head("GET /v1/health HTTP/1.1", "nonsense\r\n")},
      {"field without a name", head("GET /v1/health HTTP/1.1", ": b\r\n")},
      {"NUL in a field", head("GET /v1/health HTTP/1.1", std::string("A: b\0c\r\n", 8))},
      {"space before the first field", "GET /v1/health HTTP/1.1\r\n Host: x\r\n\r\n"},
      {"folded field", head("GET /v1/health HTTP/1.1", "A: b\r\n c\r\n")},
      {"folded field, first line empty", head("GET /v1/health HTTP/1.1", "A:\r\n c\r\n")},
      {"folded field, by a tab", head("GET /v1/health HTTP/1.1", "A: b\r\n\tc\r\n")},
      {"folded transfer encoding",
       head("POST /v1/reload HTTP/1.1", "Transfer-Encoding:\r\n chunked\r\n") + "0\r\n\r\n"},
      {"no Host", "GET /v1/health HTTP/1.1\r\n\r\n"},
      {"two Hosts", head("GET /v1/health HTTP/1.1", "Host: y\r\n")},
      {"two lengths", head("POST /v1/reload HTTP/1.1", "Content-Length: 2\r\nContent-Length: 2\r\n") + "{}"},
      {"two different lengths", head("POST /v1/reload HTTP/1.1", "Content-Length: 2\r\nContent-Length: 3\r\n") + "{}"},
      {"a list of lengths", head("POST /v1/reload HTTP/1.1", "Content-Length: 2, 2\r\n") + "{}"},
      {"a signed length", head("POST /v1/reload HTTP/1.1", "Content-Length: +2\r\n") + "{}"},
      {"a negative length", head("POST /v1/reload HTTP/1.1", "Content-Length: -2\r\n") + "{}"},
      {"a hexadecimal length", head("POST /v1/reload HTTP/1.1", "Content-Length: 0x2\r\n") + "{}"},
      {"an empty length", head("POST /v1/reload HTTP/1.1", "Content-Length:\r\n") + "{}"},
      {"a length beyond 2^64", head("POST /v1/reload HTTP/1.1", "Content-Length: 18446744073709551616\r\n") + "{}"},
      {"length and chunks",
       head("POST /v1/reload HTTP/1.1", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n"},
      {"chunks and length",
       head("POST /v1/reload HTTP/1.1", "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n") + "0\r\n\r\n"},
      {"gzip", head("POST /v1/reload HTTP/1.1", "Transfer-Encoding: gzip\r\n") + "{}"},
      {"gzip, chunked", head("POST /v1/reload HTTP/1.1", "Transfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n"},
      {"chunked, chunked", head("POST /v1/reload HTTP/1.1", "Transfer-Encoding: chunked, chunked\r\n") + "0\r\n\r\n"},
      {"chunked twice",
       head("POST /v1/reload HTTP/1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n"},
      {"xchunked", head("POST /v1/reload HTTP/1.1", "Transfer-Encoding: xchunked\r\n") + "0\r\n\r\n"},
      {"identity", head("POST /v1/reload HTTP/1.1", "Transfer-Encoding: identity\r\nContent-Length: 2\r\n") + "{}"},
      {"chunks in HTTP/1.0", head("POST /v1/reload HTTP/1.0", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n"},
      {"a chunk size that is none",
       head("POST /v1/reload HTTP/1.1", "Transfer-Encoding: chunked\r\n") + "zz\r\n{}\r\n0\r\n\r\n"},
      {"a chunk size beyond 2^64",
       head("POST /v1/reload HTTP/1.1", "Transfer-Encoding: chunked\r\n") + "11111111111111111\r\n"},
      {"a chunk longer than its size",
       head("POST /v1/reload HTTP/1.1", "Transfer-Encoding: chunked\r\n") + "1\r\n{}\r\n0\r\n\r\n"},
      {"a trailer", head("POST /v1/reload HTTP/1.1", "Transfer-Encoding: chunked\r\n") + "0\r\nA: b\r\n\r\n"},
      {"another expectation", head("POST /v1/reload HTTP/1.1", "Expect: 200-ok\r\nContent-Length: 2\r\n") + "{}"},
      {"broken Connection", head("GET /v1/health HTTP/1.1", "Connection: a b c,\"\r\n")},
      {"target too long", head("GET /" + std::string(kHeaderLimit, 'a') + " HTTP/1.1"), 413, "too-large"},
      {"target and field too long together",
       head("GET /" + std::string(5000, 'a') + " HTTP/1.1", "A: " + std::string(5000, 'b') + "\r\n"), 413, "too-large"},
      {"one field too long", head("GET /v1/health HTTP/1.1", "A: " + std::string(kHeaderLimit, 'b') + "\r\n"), 413,
       "too-large"},
      {"a name without an end", "GET /v1/health HTTP/1.1\r\nHost: x\r\n" + std::string(kHeaderLimit, 'a'), 413,
       "too-large"},
      {"body too long", head("POST " + kReject + " HTTP/1.1", "Content-Length: 65537\r\n"), 413, "too-large"},
      {"chunk too long", head("POST " + kReject + " HTTP/1.1", "Transfer-Encoding: chunked\r\n") + "10001\r\n", 413,
       "too-large"},
  };
  std::string many;
  for (int i = 0; i < 1000; ++i)
    many += "A: 0123456789\r\n";
  cases.push_back({"many fields", head("GET /v1/health HTTP/1.1", many), 413, "too-large"});
  std::string chunks = head("POST " + kReject + " HTTP/1.1", "Transfer-Encoding: chunked\r\n");
  for (int i = 0; i < 5; ++i)
    chunks += "4000\r\n" + std::string(0x4000, 'a') + "\r\n";
  cases.push_back({"chunks too long together", chunks, 413, "too-large"});
  std::string extended = head("POST " + kReject + " HTTP/1.1", "Transfer-Encoding: chunked\r\n") + "1;a=";
  cases.push_back({"an extension without an end", extended + std::string(kRequestLimit, 'b'), 413, "too-large"});
  for (Case& c : cases)
    c.closes = true;
  return cases;
}

std::vector<Case> misunderstood_requests() {
  return {
      {"unknown path", head("GET /v1/nothing HTTP/1.1"), 404, "about:blank"},
      {"root", head("GET / HTTP/1.1"), 404, "about:blank"},
      {"trailing slash", head("GET /v1/health/ HTTP/1.1"), 404, "about:blank"},
      {"double slash", head("GET //v1/health HTTP/1.1"), 404, "about:blank"},
      {"no account", head("GET /v1/accounts//token HTTP/1.1"), 404, "about:blank"},
      {"dots are not resolved", head("GET /v1/../v1/health HTTP/1.1"), 404, "about:blank"},
      {"beyond a path", head("GET " + kToken + "/more HTTP/1.1"), 404, "about:blank"},
      {"unknown method", head("FROB /v1/health HTTP/1.1"), 405, "method-not-allowed"},
      {"lower case method", head("get /v1/health HTTP/1.1"), 405, "method-not-allowed"},
      {"wrong method", head("POST " + kToken + " HTTP/1.1"), 405, "method-not-allowed"},
      {"OPTIONS", head("OPTIONS /v1/health HTTP/1.1"), 405, "method-not-allowed"},
      {"asterisk form", head("OPTIONS * HTTP/1.1")},
      {"authority form", head("CONNECT example:443 HTTP/1.1")},
      {"a relative path", head("GET v1/health HTTP/1.1")},
      {"fragment", head("GET /v1/health#x HTTP/1.1")},
      {"byte above ASCII in the target", head("GET /v1/h\xc3\xa9 HTTP/1.1")},
      {"cut escape in the path", head("GET /v1/health%4 HTTP/1.1")},
      {"broken escape in the path", head("GET /v1/accounts/%zz/token HTTP/1.1")},
      {"escaped NUL in the path", head("GET /v1/accounts/a%00/token HTTP/1.1")},
      {"broken escape in the query", head("GET " + kToken + "?wait=%1 HTTP/1.1")},
      {"escaped NUL in the query", head("GET " + kToken + "?wait=1%00 HTTP/1.1")},
      {"unknown parameter", head("GET " + kToken + "?max_valid=1 HTTP/1.1")},
      {"parameter of another path", head("GET /v1/health?wait=1 HTTP/1.1")},
      {"parameter twice", head("GET " + kToken + "?wait=1&wait=1 HTTP/1.1")},
      {"parameter twice, once escaped", head("GET " + kToken + "?wait=1&w%61it=1 HTTP/1.1")},
      {"parameter without a name", head("GET " + kToken + "?=1 HTTP/1.1")},
      {"empty parameter", head("GET " + kToken + "?wait=1&&min_valid=1 HTTP/1.1")},
      {"ampersand at the end", head("GET " + kToken + "?wait=1& HTTP/1.1")},
      {"too many parameters", head("GET " + kToken + "?a=&b=&c=&d=&e=&f=&g=&h=&i= HTTP/1.1")},
      {"wait without a value", head("GET " + kToken + "?wait HTTP/1.1")},
      {"wait too long", head("GET " + kToken + "?wait=61 HTTP/1.1")},
      {"negative wait", head("GET " + kToken + "?wait=-1 HTTP/1.1")},
      {"wait with a unit", head("GET " + kToken + "?wait=10s HTTP/1.1")},
      {"wait with a plus", head("GET " + kToken + "?wait=+1 HTTP/1.1")},
      {"fractional min_valid", head("GET " + kToken + "?min_valid=1.5 HTTP/1.1")},
      {"min_valid beyond a year", head("GET " + kToken + "?min_valid=31536001 HTTP/1.1")},
      {"min_valid beyond 2^64", head("GET " + kToken + "?min_valid=18446744073709551617 HTTP/1.1")},
      {"since that is no time", head("GET /v1/audit?since=yesterday HTTP/1.1")},
      {"since in February", head("GET /v1/audit?since=2027-02-30T00:00:00Z HTTP/1.1")},
      {"since without a zone", head("GET /v1/audit?since=2027-02-01T00:00:00 HTTP/1.1")},
      {"GET with a body", request("GET", "/v1/health", "{}")},
      {"DELETE with a body", request("DELETE", "/v1/accounts/flat-me/grant", "{}")},
      {"reload with a member", with_body("/v1/reload", R"({"now":1})")},
      {"reject without a body", head("POST " + kReject + " HTTP/1.1")},
      {"reject with nothing", with_body(kReject, "{}")},
      {"reject with both", with_body(kReject, R"({"generation":1,"access_token":"a"})")},
      {"reject with a string generation", with_body(kReject, R"({"generation":"1"})")},
      {"reject with a negative generation", with_body(kReject, R"({"generation":-1})")},
      {"reject with a fraction", with_body(kReject, R"({"generation":1.0})")},
      {"reject with an exponent", with_body(kReject, R"({"generation":1e2})")},
      {"reject with a huge generation", with_body(kReject, R"({"generation":18446744073709551616})")},
      {"reject with an empty token", with_body(kReject, R"({"access_token":""})")},
      {"reject with a number as token", with_body(kReject, R"({"access_token":1})")},
      {"reject with an unknown member", with_body(kReject, R"({"generation":1,"force":1})")},
      {"reject with a member twice", with_body(kReject, R"({"generation":1,"generation":1})")},
      {"reject with a list", with_body(kReject, R"([1])")},
      {"reject with nesting", with_body(kReject, R"({"generation":{}})")},
      {"reject with true", with_body(kReject, R"({"generation":true})")},
      {"reject with something behind", with_body(kReject, R"({"generation":1}x)")},
      {"reject with a comma at the end", with_body(kReject, R"({"generation":1,})")},
      {"reject with a comment", with_body(kReject, R"({"generation":1/**/})")},
      {"reject with an escaped NUL", with_body(kReject, R"({"access_token":"a\u0000b"})")},
      {"reject with a lone surrogate", with_body(kReject, R"({"access_token":"\ud800"})")},
      {"reject with broken UTF-8", with_body(kReject, "{\"access_token\":\"\xff\"}")},
      {"reject with a raw newline", with_body(kReject, "{\"access_token\":\"a\nb\"}")},
      {"reject as a form", with_body(kReject, "generation=1")},
      {"login with an unknown method", with_body(kLogin, R"({"method":"magic"})")},
      {"login with a number as method", with_body(kLogin, R"({"method":1})")},
      {"login with an empty secret", with_body(kLogin, R"({"secret":""})")},
      {"login with an unknown member", with_body(kLogin, R"({"method":"auto","token":"x"})")},
      {"login without a body", head("POST " + kLogin + " HTTP/1.1")},
  };
}

class MalformedTest : public HttpTest, public ::testing::WithParamInterface<Case> {
 protected:
  MalformedTest() { service_.add("flat-me"); }

  void expect_problem(const Response& response) {
    const Case& c = GetParam();
    EXPECT_EQ(response.status, c.status);
    EXPECT_EQ(response.headers.at("content-type"), "application/problem+json");
    EXPECT_EQ(response.headers.at("cache-control"), "no-store");
    EXPECT_EQ(response.headers.contains("allow"), c.status == 405);
    const Json problem = Json::parse(response.body);
    EXPECT_EQ(problem.at("type"), c.type == "about:blank" ? c.type : "urn:credsync:error:" + c.type);
    EXPECT_EQ(problem.at("status"), c.status);
    EXPECT_FALSE(problem.at("detail").get<std::string>().empty());
    EXPECT_TRUE(problem.at("next_step").is_null());
    EXPECT_TRUE(service_.asked.empty());
  }
};

TEST_P(MalformedTest, IsAnsweredByItsProblem) {
  Client client = connect();
  send(client, GetParam().bytes);
  expect_problem(read(client));
  if (GetParam().closes) {
    client.shut_writing();
    EXPECT_TRUE(ends(client));
  } else {
    send(client, request("GET", "/v1/health"));
    EXPECT_EQ(read(client).status, 200) << "the connection must go on";
  }
}

TEST_P(MalformedTest, IsAnsweredTheSameInManyPieces) {
  // Lines that end in a bare LF never come to an end: those are refused when their time is over.
  start(generous(), Timing{.request = 1s, .answer = 60s, .linger = 1s});
  Client client = connect();
  const std::size_t piece = 1 + GetParam().bytes.size() / 500;  // single bytes, unless it is long
  for (std::size_t at = 0; at < GetParam().bytes.size() && client.received.empty(); at += piece) {
    send(client, std::string_view(GetParam().bytes).substr(at, piece));
    settle();
    client.read_available();
  }
  expect_problem(read(client));
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  std::string name;
  for (const char c : info.param.name)
    name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Messages, MalformedTest, ::testing::ValuesIn(broken_messages()), name_of);
INSTANTIATE_TEST_SUITE_P(Requests, MalformedTest, ::testing::ValuesIn(misunderstood_requests()), name_of);

class MethodsTest : public HttpTest {};

TEST_F(MethodsTest, AllowSaysWhatThePathKnows) {
  EXPECT_EQ(ask(request("PUT", "/v1/accounts/a/grant")).headers.at("allow"), "DELETE");
  EXPECT_EQ(ask(request("PUT", "/v1/accounts/Not-A-Name/token")).headers.at("allow"), "GET");
}

TEST_F(MethodsTest, AnAnswerToHeadHasNoBody) {
  Client client = connect();
  send(client, request("HEAD", "/v1/health") + request("HEAD", "/nothing") + request("HEAD", "/v1/health"));
  ASSERT_TRUE(until([&] {
    client.read_available();
    std::size_t ends = 0;
    for (std::size_t at = 0; (at = client.received.find("\r\n\r\n", at)) != std::string::npos; at += 4)
      ++ends;
    return ends == 3;
  }));
  EXPECT_EQ(client.received.find('{'), std::string::npos);
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
}

}  // namespace
}  // namespace credsync::ipc::http
