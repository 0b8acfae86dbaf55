// What a doctor makes of what providers answer.
#include "daemon/doctor/providers.h"

#include <gtest/gtest.h>

#include "tests/fakes/core_world.h"
#include "tests/fakes/fake_clock.h"

namespace credsync::doctor {
namespace {

using oauth::ExchangeOptions;
using oauth::ExchangeOutcome;
using oauth::HttpRequest;
using oauth::HttpResponse;
using oauth::TransportError;
using oauth::TransportFault;

constexpr const char* kIssuer = "https://issuer.example";

class ProvidersTest : public testing::Test {
 protected:
  std::shared_ptr<config::Account> account(const std::string& name) {
    auto made = fakes::make_account(name, profile_);
    made->provider = "flat";
    config_.accounts.emplace(name, made);
    return made;
  }
  Finding look_at_first() {
    const Plan planned = plan(config_);
    EXPECT_FALSE(planned.probes.empty());
    return look(
        planned.probes.front(),
        [this](const HttpRequest& request, const ExchangeOptions&) {
          asked_.push_back(request.method + " " + request.url);
          return answer_();
        },
        clock_);
  }
  void answers(int status, std::string date = {}, std::string body = {}) {
    answer_ = [this, status, date, body] {
      HttpResponse response;
      response.status = status;
      if (!date.empty()) response.headers.push_back({"Date", date});
      response.headers.push_back({"Content-Type", "application/json"});
      response.body = WipedString(body);
      response.sent_at = response.received_at = clock_.wall();
      response.certificate_ends = certificate_ends_;
      return ExchangeOutcome(std::move(response));
    };
  }
  void fails(TransportFault fault, const std::string& words) {
    answer_ = [fault, words] { return ExchangeOutcome(TransportError{fault, false, words}); };
  }
  void only_issuer() {
    profile_->endpoints = {};
    profile_->issuer = kIssuer;
  }

  fakes::FakeClock clock_;
  std::shared_ptr<provider::Profile> profile_ = std::make_shared<provider::Profile>();
  config::Config config_;
  std::function<ExchangeOutcome()> answer_;
  std::optional<WallTime> certificate_ends_ = clock_.wall() + days(60);
  std::vector<std::string> asked_;
  ProvidersTest() {
    profile_->id = "flat";
    profile_->endpoints.token.url = "https://api.example/token";
  }
};

TEST_F(ProvidersTest, EachOriginIsLookedAtOnce) {
  profile_->endpoints.revoke.url = "https://api.example/revoke";
  profile_->endpoints.userinfo.url = "https://other.example/me";
  account("a");
  account("b");
  const Plan planned = plan(config_);
  ASSERT_EQ(planned.probes.size(), 2U);
  EXPECT_EQ(planned.probes[0].url, "https://api.example/token");
  EXPECT_EQ(planned.probes[1].authority, "other.example");
  EXPECT_TRUE(planned.problems.empty());
}

TEST_F(ProvidersTest, OtherRootsAreAnotherMatter) {
  account("a");
  account("b")->ca_file = "/etc/own.pem";
  EXPECT_EQ(plan(config_).probes.size(), 2U);
}

TEST_F(ProvidersTest, WhatIsOffOrNeedsNoProviderIsLeftOut) {
  account("off")->enabled = false;
  account("static")->grant = provider::Grant::kStatic;
  EXPECT_TRUE(plan(config_).probes.empty());
}

TEST_F(ProvidersTest, TheyAreBoundedAndTheRestIsSaid) {
  for (int i = 0; i < 100; ++i) {
    auto profile = std::make_shared<provider::Profile>(*profile_);
    profile->endpoints.token.url = "https://api-" + std::to_string(i) + ".example/token";
    account("a" + std::to_string(i))->profile = profile;
  }
  const Plan planned = plan(config_);
  EXPECT_EQ(planned.probes.size(), kMostProbes);
  ASSERT_EQ(planned.problems.size(), 1U);
  EXPECT_EQ(planned.problems[0].detail, "36 more endpoints were not looked at");
}

TEST_F(ProvidersTest, AnyAnswerIsFineAndNothingIsAskedFor) {
  account("a");
  answers(405);
  const Finding found = look_at_first();
  EXPECT_EQ(found.check.result, "ok") << found.check.detail;
  EXPECT_EQ(found.check.name, "provider flat");
  EXPECT_NE(found.check.detail.find(to_rfc3339(*certificate_ends_)), std::string::npos);
  EXPECT_EQ(asked_, std::vector<std::string>{"HEAD https://api.example/token"});
}

TEST_F(ProvidersTest, ACertificateThatEndsSoonIsAWarning) {
  account("a");
  certificate_ends_ = clock_.wall() + days(2);
  answers(405);
  EXPECT_EQ(look_at_first().check.result, "warning");
}

TEST_F(ProvidersTest, AServerInTroubleIsAWarning) {
  account("a");
  answers(503);
  EXPECT_EQ(look_at_first().check.result, "warning");
}

TEST_F(ProvidersTest, WhatKeepsItFromBeingReachedHasItsCommand) {
  profile_->endpoints.token.url = "https://api.example:8443/token?key=hidden";
  account("a");
  const std::pair<TransportFault, std::string> table[] = {
      {TransportFault::kResolve, "resolvectl query api.example"},
      {TransportFault::kUntrusted, "openssl s_client -connect api.example:8443 -servername api.example </dev/null"},
      {TransportFault::kConnect, "curl -sSI https://api.example:8443/token"},
      {TransportFault::kProxy, "systemctl show credsyncd -p Environment"},
      {TransportFault::kBadRequest, "credsyncd --check-config"},
  };
  for (const auto& [fault, command] : table) {
    fails(fault, "why");
    const Finding found = look_at_first();
    EXPECT_EQ(found.check.result, "failed");
    EXPECT_EQ(found.check.detail, "token endpoint: why");
    EXPECT_EQ(found.check.next_step, command);
  }
}

TEST_F(ProvidersTest, AMetadataDocumentThatAgreesIsFine) {
  only_issuer();
  profile_->endpoints.authorize.url = std::string(kIssuer) + "/authorize";
  account("a");
  answers(200, {},
          R"({"issuer":"https://issuer.example","token_endpoint":"https://issuer.example/token",)"
          R"("authorization_endpoint":"https://issuer.example/authorize"})");
  const Finding found = look_at_first();
  EXPECT_EQ(found.check.result, "ok") << found.check.detail;
}

TEST_F(ProvidersTest, WhereProfileAndIssuerDifferBothAreNamed) {
  only_issuer();
  profile_->endpoints.authorize.url = "https://old.example/authorize";
  account("a");
  answers(200, {},
          R"({"issuer":"https://issuer.example","token_endpoint":"https://issuer.example/token",)"
          R"("authorization_endpoint":"https://issuer.example/authorize"})");
  const Finding found = look_at_first();
  EXPECT_EQ(found.check.result, "warning");
  EXPECT_NE(found.check.detail.find("https://old.example/authorize"), std::string::npos) << found.check.detail;
  EXPECT_NE(found.check.detail.find("https://issuer.example/authorize"), std::string::npos);
  EXPECT_EQ(found.check.next_step, "credsync providers flat");
}

TEST_F(ProvidersTest, AnotherIssuersMetadataFails) {
  only_issuer();
  account("a");
  answers(200, {}, R"({"issuer":"https://evil.example","token_endpoint":"https://evil.example/token"})");
  const Finding found = look_at_first();
  EXPECT_EQ(found.check.result, "failed");
  EXPECT_TRUE(found.check.next_step.starts_with("curl -sS https://issuer.example/")) << found.check.next_step;
}

// 1,790,000,000 is Mon, 21 Sep 2026 14:13:20 GMT.
TEST_F(ProvidersTest, TheServersTimeIsCompared) {
  account("a");
  answers(405, "Mon, 21 Sep 2026 14:13:20 GMT");
  EXPECT_EQ(look_at_first().skew, Duration::zero());
  answers(405, "Mon, 21 Sep 2026 14:23:20 GMT");
  EXPECT_EQ(look_at_first().skew, Duration(10min));
  answers(405, "Mon, 21 Sep 2026 14:03:20 GMT");
  EXPECT_EQ(look_at_first().skew, Duration(-10min + 1s));
  answers(405);
  EXPECT_EQ(look_at_first().skew, std::nullopt);
}

TEST(SkewTest, TheMiddleOfTheServersCounts) {
  EXPECT_EQ(judge_skew({}), std::nullopt);
  EXPECT_EQ(judge_skew({2s, -3s, 10h})->result, "ok") << "one that is wrong itself";
  const auto wrong = judge_skew({10min, 10min, 0s});
  EXPECT_EQ(wrong->result, "warning");
  EXPECT_NE(wrong->detail.find("600 s ahead of ours"), std::string::npos) << wrong->detail;
  EXPECT_NE(judge_skew({-2min})->detail.find("one server's clock is 120 s behind ours"), std::string::npos);
}

}  // namespace
}  // namespace credsync::doctor
