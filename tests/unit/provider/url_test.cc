#include "daemon/provider/url.h"

#include <gtest/gtest.h>

namespace credsync::provider {
namespace {

TEST(Url, IsTakenApart) {
  const auto url = parse_url("HTTPS://Auth.Example:8443/oauth/token?x=1");
  ASSERT_TRUE(url.has_value());
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "auth.example");
  EXPECT_EQ(url->port, 8443u);
  EXPECT_EQ(url->target, "/oauth/token?x=1");
  EXPECT_TRUE(url->has_query);
  EXPECT_EQ(parse_url("https://a.example")->target, "/");
  EXPECT_EQ(parse_url("https://a.example?x")->target, "/?x");
  EXPECT_EQ(parse_url("https://[::1]:444/")->host, "::1");
}

TEST(Url, OriginLeavesTheUsualPortOut) {
  EXPECT_EQ(origin_of(*parse_url("https://A.example:443/x")), "https://a.example");
  EXPECT_EQ(origin_of(*parse_url("https://a.example:444/x")), "https://a.example:444");
  EXPECT_EQ(origin_of(*parse_url("http://localhost:80/")), "http://localhost");
  EXPECT_EQ(origin_of(*parse_url("https://[2001:DB8::1]/")), "https://[2001:db8::1]");
}

class BadUrls : public ::testing::TestWithParam<std::string_view> {};
TEST_P(BadUrls, AreRefused) {
  EXPECT_FALSE(parse_url(GetParam()).has_value()) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(
    Url, BadUrls,
    ::testing::Values("", "token", "/token", "a.example/token", "https:/a.example", "https://", "https:///token",
                      "ftp://a.example", "file:///etc/passwd", "https://user@a.example/", "https://user:pw@a.example/",
                      "https://a.example/#x", "https://a.example#x", "https://a.example:0/", "https://a.example:65536/",
                      "https://a.example:x/", "https://a.example:/", "https://[::1]:/", "https://a example/",
                      "https://a.example/a b", "https://a.example/\n", "https://a.example\\@b.example/",
                      "https://.a.example/", "https://a..example/", "https://[::1", "https://[::g]/", "https://[::1]x/",
                      "https://\xc3\xa4.example/", "https://a%2eexample/"));

TEST(Url, OverlongIsRefused) {
  EXPECT_FALSE(parse_url("https://a.example/" + std::string(4000, 'x')).has_value());
}

TEST(Url, PlainHttpIsForLoopbackOnRequestOnly) {
  EXPECT_TRUE(check_endpoint_url("https://a.example/", false).has_value());
  for (const char* url : {"http://127.0.0.1:8080/", "http://127.9.9.9/", "http://[::1]/", "http://localhost:1/"}) {
    EXPECT_TRUE(check_endpoint_url(url, true).has_value()) << url;
    EXPECT_FALSE(check_endpoint_url(url, false).has_value()) << url;
  }
  for (const char* url : {"http://a.example/", "http://localhost.a.example/", "http://127.0.0.1.a.example/",
                          "http://128.0.0.1/", "http://[::2]/", "http://0.0.0.0/"}) {
    EXPECT_FALSE(check_endpoint_url(url, true).has_value()) << url;
  }
}

}  // namespace
}  // namespace credsync::provider
