// Where a browser is sent back to, by what an account and its profile say.
#include <gtest/gtest.h>

#include "daemon/login/redirect.h"
#include "tests/fakes/core_world.h"

namespace credsync::login {
namespace {

using provider::RedirectPort;

struct Case {
  const char* what;
  RedirectPort port;
  const char* redirect_uri;
  std::optional<unsigned> redirect_port;
  bool error;
  const char* host;  // empty: no listener
  std::optional<std::uint16_t> listens_on;
  const char* uri;  // as far as it is known
};

class RedirectTest : public testing::TestWithParam<Case> {};

TEST_P(RedirectTest, IsPlanned) {
  const Case& c = GetParam();
  auto profile = fakes::make_profile();
  profile->authorize.redirect_port = c.port;
  auto account = fakes::make_account("a", profile, provider::Grant::kAuthorizationCode);
  account->redirect_uri = c.redirect_uri;
  account->redirect_port = c.redirect_port;
  const auto planned = plan_redirect(*account);
  ASSERT_EQ(!planned, c.error) << c.what;
  if (!planned) {
    EXPECT_NE(planned.error().message().find("redirect_uri"), std::string::npos);
    return;
  }
  ASSERT_EQ(planned->loopback.has_value(), *c.host != '\0') << c.what;
  EXPECT_EQ(planned->uri, c.uri) << c.what;
  if (!planned->loopback) return;
  EXPECT_EQ(planned->loopback->host, c.host) << c.what;
  EXPECT_EQ(planned->loopback->port, c.listens_on) << c.what;
}

constexpr auto kAny = RedirectPort::kAny;
constexpr auto kExact = RedirectPort::kExact;
INSTANTIATE_TEST_SUITE_P(
    All, RedirectTest,
    testing::Values(
        Case{"nothing said", kAny, "", {}, false, "127.0.0.1", {}, ""},
        Case{"a port said", kAny, "", 8765, false, "127.0.0.1", 8765, "http://127.0.0.1:8765/callback"},
        Case{"exact, nothing said", kExact, "", {}, true, "", {}, ""},
        Case{"exact, a port said", kExact, "", 8765, false, "127.0.0.1", 8765, "http://127.0.0.1:8765/callback"},
        Case{"loopback without a port", kAny, "http://127.0.0.1/cb", {}, false, "127.0.0.1", {}, ""},
        Case{"exact loopback without a port",
             kExact,
             "http://127.0.0.1/cb",
             {},
             false,
             "127.0.0.1",
             80,
             "http://127.0.0.1/cb"},
        Case{"loopback with a port", kAny, "http://127.0.0.1:9/cb", {}, false, "127.0.0.1", 9, "http://127.0.0.1:9/cb"},
        Case{"IPv6", kExact, "http://[::1]:9/cb", {}, false, "[::1]", 9, "http://[::1]:9/cb"},
        Case{"IPv6 without a port", kAny, "http://[::1]/cb", {}, false, "[::1]", {}, ""},
        Case{"a name", kExact, "http://localhost:9/cb", {}, false, "localhost", 9, "http://localhost:9/cb"},
        Case{"elsewhere", kExact, "https://app.example/cb", {}, false, "", {}, "https://app.example/cb"},
        Case{"an app's scheme", kExact, "com.example.app:/cb", {}, false, "", {}, "com.example.app:/cb"},
        Case{"loopback with TLS", kExact, "https://127.0.0.1:9/cb", {}, false, "", {}, "https://127.0.0.1:9/cb"},
        Case{"another loopback address", kExact, "http://127.0.0.2:9/cb", {}, false, "", {}, "http://127.0.0.2:9/cb"}));

}  // namespace
}  // namespace credsync::login
