// What goes over the wire and what is taken from it: requests, answers, limits, addresses of this machine,
// the proxy.
#include <cstdlib>

#include "tests/unit/transport/transport_fixture.h"

namespace credsync::test {
namespace {

class WireTest : public TransportTest {
 protected:
  // The outcome of a request that gets these bytes and then the end of the stream.
  ExchangeOutcome answered_with(std::string bytes, bool orderly = true) {
    Server server(
        [&](Peer& peer) {
          peer.handshake();
          peer.read_request();
          peer.write(bytes);
          orderly ? peer.close() : peer.close_without_notify();
        },
        tls());
    return exchange(https_url(server), options());
  }
};

TEST_F(WireTest, RequestArrivesAsItWasMeant) {
  std::string seen;
  Server server(
      [&](Peer& peer) {
        peer.handshake();
        seen = peer.read_request();
        peer.write(ok_answer("{}"));
      },
      tls());
  HttpRequest request = post(https_url(server, "/oauth/token?a=%20b"), "refresh_token=r&x=y");
  request.headers.push_back({"Authorization", "Basic abc="});
  const auto before = clock_.wall();
  const auto outcome = transport_.exchange(request, options());
  EXPECT_ANSWER(outcome, "{}");
  EXPECT_EQ(seen, "POST /oauth/token?a=%20b HTTP/1.1\r\nHost: provider.test:" + std::to_string(server.port()) +
                      "\r\nAccept-Encoding: identity\r\nUser-Agent: credsyncd/" CREDSYNC_VERSION
                      "\r\n"
                      "Content-Type: application/x-www-form-urlencoded\r\nAuthorization: Basic abc=\r\n"
                      "Content-Length: 19\r\n\r\nrefresh_token=r&x=y");
  const auto& response = std::get<HttpResponse>(outcome);
  EXPECT_EQ(response.status, 200);
  ASSERT_FALSE(response.headers.empty());
  EXPECT_EQ(response.headers[0].name, "Content-Type");
  EXPECT_EQ(response.headers[0].value, "application/json");
  EXPECT_GE(response.sent_at, before);
  EXPECT_GE(response.received_at, response.sent_at);
}

TEST_F(WireTest, RequestsThatWouldBreakOutAreRefused) {
  Server server(answer_always(ok_answer("{}")), tls());
  const Header headers[] = {{"X-Bad", "a\r\nHost: evil"},
                            {"X-Bad", std::string("a\0b", 3)},
                            {"X Bad", "a"},
                            {"", "a"},
                            {"Host", "evil.test"},
                            {"content-length", "0"},
                            {"Transfer-Encoding", "chunked"},
                            {"Accept-Encoding", "gzip"}};
  for (const Header& header : headers) {
    HttpRequest request = post(https_url(server));
    request.headers.push_back(header);
    EXPECT_FAULT(transport_.exchange(request, options()), TransportFault::kBadRequest, false);
  }
  HttpRequest request = post(https_url(server));
  request.method = "GET / HTTP/1.1\r\n";
  EXPECT_FAULT(transport_.exchange(request, options()), TransportFault::kBadRequest, false);
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(WireTest, BadUrlsAreRefusedWithoutRepeatingThem) {
  const char* urls[] = {"",
                        "ftp://provider.test/",
                        "https://",
                        "https:///x",
                        "https://user:secret1@provider.test/",
                        "https://provider.test:0/",
                        "https://provider.test:65536/secret1",
                        "https://provider.test:x/",
                        "https://provider.test/a b",
                        "https://provider.test/#secret1",
                        "https://[::1/",
                        "https://[abc]/",
                        "https://pro vider.test/",
                        "https://provider.test/\r\nX: secret1",
                        "https://pr\xc3\xb6vider.test/",
                        "https://.provider.test/",
                        "//provider.test/"};
  for (const char* url : urls) {
    SCOPED_TRACE(url);
    const auto outcome = exchange(url, options());
    EXPECT_FAULT(outcome, TransportFault::kBadRequest, false);
    EXPECT_EQ(error_of(outcome)->words.find("secret1"), std::string::npos);
  }
}

TEST_F(WireTest, UrlWithAUserNameSaysThatThisIsWhy) {
  const auto outcome = exchange("https://user:secret1@provider.test/", options());
  EXPECT_FAULT(outcome, TransportFault::kBadRequest, false);
  EXPECT_NE(error_of(outcome)->words.find("user name"), std::string::npos);
}

TEST_F(WireTest, PlainHttpIsForLoopbackAndOnlyWhenAllowed) {
  Server server(answer_always(ok_answer("local")));
  const std::string port = std::to_string(server.port());
  EXPECT_ANSWER(exchange("http://127.0.0.1:" + port + "/", options()), "local");
  EXPECT_ANSWER(exchange("http://localhost:" + port + "/", options()), "local");
  ExchangeOptions strict = options();
  strict.allow_http_loopback = false;
  EXPECT_FAULT(exchange("http://127.0.0.1:" + port + "/", strict), TransportFault::kBadRequest, false);
  // Leads to loopback, but by a name that others may point elsewhere.
  EXPECT_FAULT(exchange("http://provider.test:" + port + "/", options()), TransportFault::kBadRequest, false);
  EXPECT_FAULT(exchange("http://192.0.2.1:" + port + "/", options()), TransportFault::kBadRequest, false);
  EXPECT_EQ(server.requests(), 2);
}

TEST_F(WireTest, LocalhostThatLeadsElsewhereIsRefused) {
  Transport transport(clock_,
                      [](const std::string&, std::uint16_t port) {
                        return std::vector<oauth::Address>{*oauth::literal_address("192.0.2.1", port)};
                      },
                      {});
  EXPECT_FAULT(transport.exchange(post("http://localhost/"), options()), TransportFault::kBadRequest, false);
}

TEST_F(WireTest, RedirectIsAnAnswerNotAnOrder) {
  Server elsewhere(answer_always(ok_answer("stolen")), tls());
  Server server(answer_always("HTTP/1.1 307 Temporary Redirect\r\nLocation: " + https_url(elsewhere) +
                              "\r\nContent-Length: 0\r\n\r\n"),
                tls());
  const auto outcome = exchange(https_url(server), options());
  ASSERT_NE(answer_of(outcome), nullptr);
  EXPECT_EQ(std::get<HttpResponse>(outcome).status, 307);
  EXPECT_EQ(elsewhere.connections(), 0);
}

TEST_F(WireTest, ContinueAndEarlyHintsAreSkipped) {
  EXPECT_ANSWER(
      answered_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok_answer("{}")),
      "{}");
}

TEST_F(WireTest, CutAnswersAreAmbiguousNotAnswers) {
  const std::string whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n";
  EXPECT_ANSWER(answered_with(whole), "{\"a\":1}");
  for (const bool orderly : {true, false}) {
    EXPECT_FAULT(answered_with("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"a\":1}", orderly),
                 TransportFault::kReset, true);
    EXPECT_FAULT(answered_with(whole.substr(0, whole.size() - 5), orderly), TransportFault::kReset, true);
    EXPECT_FAULT(answered_with("HTTP/1.1 200", orderly), TransportFault::kReset, true);
    EXPECT_FAULT(answered_with("", orderly), TransportFault::kReset, true);
  }
  // Up to the end of the stream: whole only if the end is the peer's word, not somebody's cut.
  EXPECT_ANSWER(answered_with("HTTP/1.1 200 OK\r\n\r\n{\"a\":1}", true), "{\"a\":1}");
  EXPECT_FAULT(answered_with("HTTP/1.1 200 OK\r\n\r\n{\"a\":1}", false), TransportFault::kReset, true);
}

TEST_F(WireTest, OversizedAnswersEndEarly) {
  const auto endless = [&](std::string before, std::string more) {
    Server server(
        [&](Peer& peer) {
          peer.handshake();
          peer.read_request();
          peer.write(before);
          peer.write_forever(more);
        },
        tls());
    return exchange(https_url(server), options());
  };
  const std::string kilobyte(1024, 'x');
  EXPECT_FAULT(endless("HTTP/1.1 200 OK\r\n\r\n", kilobyte), TransportFault::kTooLarge, true);
  EXPECT_FAULT(endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "400\r\n" + kilobyte + "\r\n"),
               TransportFault::kTooLarge, true);
  EXPECT_FAULT(endless("HTTP/1.1 200 OK\r\nX-Long: ", kilobyte), TransportFault::kTooLarge, true);
  EXPECT_FAULT(endless("HTTP/1.1 200 OK\r\n", "X-Many: yes\r\n"), TransportFault::kTooLarge, true);
  EXPECT_FAULT(endless("", "HTTP/1.1 100 Continue\r\n\r\n"), TransportFault::kTooLarge, true);
  EXPECT_FAULT(endless("", "X"), TransportFault::kTooLarge, true);
}

TEST_F(WireTest, AnswerAtTheLimitIsRead) {
  const std::string body(oauth::kMaxAnswerBytes, 'x');
  EXPECT_ANSWER(answered_with(ok_answer(body)), body);
  EXPECT_FAULT(answered_with(ok_answer(body + "x")), TransportFault::kTooLarge, true);
}

// The proxy: a second server that the transport must talk to first.
class ProxyTest : public TransportTest {
 protected:
  ExchangeOutcome through(const std::string& proxy, const std::string& url, const std::string& no_proxy = "",
                          Duration deadline = 20s) {
    Transport transport(clock_, loopback_only, oauth::Proxy::parse(proxy, no_proxy));
    ExchangeOptions mine = options();
    mine.deadline = deadline;
    return transport.exchange(post(url), mine);
  }
  static std::string address(const Server& proxy, const std::string& user_info = "") {
    return "http://" + user_info + "127.0.0.1:" + std::to_string(proxy.port());
  }
  // Answers the CONNECT and then is the provider itself: what it forwards is TLS all the same.
  static Server::Script connect_then_serve(std::string answer, std::string& seen) {
    return [answer = std::move(answer), &seen](Peer& peer) {
      while (seen.find("\r\n\r\n") == std::string::npos) {
        const std::string more = peer.read_some();
        if (more.empty()) return;
        seen += more;
      }
      ::send(peer.fd(), answer.data(), answer.size(), MSG_NOSIGNAL);
      if (!peer.handshake()) return;
      while (!peer.read_request().empty() && peer.write(ok_answer("through"))) {
      }
    };
  }
};

TEST_F(ProxyTest, ConnectsThroughAndVerifiesTheProviderNotTheProxy) {
  std::string seen;
  Server proxy(connect_then_serve("HTTP/1.1 200 Connection established\r\n\r\n", seen), tls());
  EXPECT_ANSWER(through(address(proxy, "us%40er:pass@"), "https://provider.test/token"), "through");
  EXPECT_EQ(seen,
            "CONNECT provider.test:443 HTTP/1.1\r\nHost: provider.test:443\r\n"
            "Proxy-Authorization: Basic dXNAZXI6cGFzcw==\r\n\r\n");
  seen.clear();
  EXPECT_FAULT(through(address(proxy), "https://other.test/token"), TransportFault::kUntrusted, false);
  EXPECT_EQ(proxy.requests(), 1);
}

TEST_F(ProxyTest, RefusalsAreTheProxysAndNothingWasSent) {
  const char* answers[] = {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nlogin",
                           "HTTP/1.1 502 Bad Gateway\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n",
                           "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nmore than it should say"};
  for (const char* answer : answers) {
    SCOPED_TRACE(answer);
    std::string seen;
    Server proxy(connect_then_serve(answer, seen), tls());
    const auto outcome = through(address(proxy, "user:hunter22@"), "https://provider.test/token");
    EXPECT_FAULT(outcome, TransportFault::kProxy, false);
    EXPECT_EQ(error_of(outcome)->words.find("hunter22"), std::string::npos);
    EXPECT_EQ(proxy.requests(), 0);
  }
}

TEST_F(ProxyTest, HangingProxyEndsAtTheDeadline) {
  Server proxy([](Peer& peer) { peer.wait_for_hang_up(); });
  EXPECT_FAULT(through(address(proxy), "https://provider.test/token", "", kShort), TransportFault::kDeadline, false);
}

TEST_F(ProxyTest, ProxyThatIsNotThereIsTheProxysFault) {
  const std::uint16_t closed = Server([](Peer&) {}).port();
  const auto outcome = through("http://127.0.0.1:" + std::to_string(closed), "https://provider.test/");
  EXPECT_FAULT(outcome, TransportFault::kProxy, false);
  EXPECT_NE(error_of(outcome)->words.find("proxy 127.0.0.1:" + std::to_string(closed)), std::string::npos);
}

TEST_F(ProxyTest, ProxyThatCannotBeUnderstoodIsNotPassedBy) {
  Server server(answer_always(ok_answer("direct")), tls());
  for (const char* proxy : {"https://proxy.test:443", "socks5://127.0.0.1:1080", "http://", "http://proxy.test:99999",
                            "http://us%zzer:hunter22@proxy.test"}) {
    SCOPED_TRACE(proxy);
    const auto outcome = through(proxy, https_url(server));
    EXPECT_FAULT(outcome, TransportFault::kProxy, false);
    EXPECT_TRUE(error_of(outcome)->words.starts_with("https_proxy: ")) << error_of(outcome)->words;
    EXPECT_EQ(error_of(outcome)->words.find("hunter22"), std::string::npos);
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(ProxyTest, NoProxyNamesWhoIsReachedDirectly) {
  struct Case {
    const char* no_proxy;
    const char* url;
    bool applies;
  };
  const Case cases[] = {
      {"", "https://provider.test/", true},
      {"provider.test", "https://provider.test/", false},
      {"PROVIDER.test", "https://provider.TEST/", false},
      {"provider.test", "https://api.provider.test/", false},
      {".provider.test", "https://api.provider.test/", false},
      {".provider.test", "https://provider.test/", false},
      {"*.provider.test", "https://api.provider.test/", false},
      {"provider.test", "https://notprovider.test/", true},
      {"provider.test", "https://provider.test.evil/", true},
      {"other.test, provider.test", "https://provider.test/", false},
      {"other.test provider.test", "https://provider.test/", false},
      {"*", "https://provider.test/", false},
      {"provider.test:443", "https://provider.test/", false},
      {"provider.test:8443", "https://provider.test/", true},
      {"192.0.2.7", "https://192.0.2.7/", false},
      {"192.0.2.7", "https://192.0.2.70/", true},
      {"2001:db8::1", "https://[2001:db8:0::1]/", false},
      {"[2001:db8::1]:443", "https://[2001:db8::1]/", false},
      {"2.7", "https://192.0.2.7/", true},
      {",,", "https://provider.test/", true},
      {"", "https://localhost/", false},
      {"", "https://127.0.0.1:8443/", false},
      {"", "https://[::1]/", false},
      {"", "http://127.0.0.1/", false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.no_proxy) + " for " + c.url);
    const auto url = oauth::parse_endpoint_url(c.url);
    ASSERT_TRUE(url);
    EXPECT_EQ(oauth::Proxy::parse("http://proxy.test:3128", c.no_proxy).applies_to(*url), c.applies);
    EXPECT_FALSE(oauth::Proxy::parse("", c.no_proxy).applies_to(*url));
  }
}

TEST_F(ProxyTest, ComesFromTheEnvironment) {
  ::setenv("HTTPS_PROXY", "http://upper.test:1", 1);
  ::setenv("no_proxy", "direct.test", 1);
  EXPECT_EQ(oauth::Proxy::from_environment().name(), "proxy upper.test:1");
  ::setenv("https_proxy", "lower.test:2", 1);
  const auto proxy = oauth::Proxy::from_environment();
  ::unsetenv("https_proxy");
  ::unsetenv("HTTPS_PROXY");
  ::unsetenv("no_proxy");
  EXPECT_EQ(proxy.name(), "proxy lower.test:2");
  EXPECT_FALSE(proxy.applies_to(*oauth::parse_endpoint_url("https://direct.test/")));
  EXPECT_FALSE(oauth::Proxy::from_environment().applies_to(*oauth::parse_endpoint_url("https://provider.test/")));
}

TEST(EndpointUrls, AnAddressIsReadToItsEnd) {
  const auto with_nul = [](std::string text) {
    text.at(text.find('*')) = '\0';
    return text;
  };
  EXPECT_TRUE(oauth::literal_address("fe80::1", 443));
  EXPECT_FALSE(oauth::literal_address(with_nul("fe80::1*%2"), 443));
  EXPECT_FALSE(oauth::literal_address(with_nul("127.0.0.1*.example"), 443));
  EXPECT_TRUE(oauth::parse_endpoint_url("https://[fe80::1]/"));
  EXPECT_FALSE(oauth::parse_endpoint_url(with_nul("https://[fe80::1*%2]/")));
}

}  // namespace
}  // namespace credsync::test
