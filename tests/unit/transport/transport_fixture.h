// What the transport's tests share: an authority, names that lead to loopback, and requests.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/time.h"
#include "daemon/oauth/transport.h"
#include "tests/unit/transport/hostile_server.h"

namespace credsync::test {

using oauth::ExchangeOptions;
using oauth::ExchangeOutcome;
using oauth::Header;
using oauth::HttpRequest;
using oauth::HttpResponse;
using oauth::Transport;
using oauth::TransportError;
using oauth::TransportFault;

// Every name but a literal leads to 127.0.0.1.
Result<std::vector<oauth::Address>> loopback_only(const std::string& host, std::uint16_t port);

// A clock that tests can push ahead.
class SteppedClock final : public Clock {
 public:
  WallTime wall() const override { return system_.wall(); }
  BootTime boot() const override { return system_.boot() + Duration(ahead_.load()); }
  void step(Duration by) { ahead_ += by.count(); }

 private:
  SystemClock system_;
  std::atomic<std::int64_t> ahead_{0};
};

class TransportTest : public testing::Test {
 protected:
  static constexpr const char* kHost = "provider.test";

  TransportTest();
  ~TransportTest() override;

  std::string write_file(const std::string& name, const std::string& content);
  // A certificate for provider.test that the authority signed.
  const Identity& good() const { return good_; }
  const Identity& authority() const { return authority_; }
  ServerTls tls() const { return {.identity = &good_}; }

  static HttpRequest post(const std::string& url, const std::string& body = "grant_type=refresh_token");
  static std::string https_url(const Server& server, const std::string& path = "/token");
  static std::string http_url(const Server& server, const std::string& path = "/token");
  ExchangeOptions options() const;        // trusts the authority; plain loopback allowed
  ExchangeOptions hurried() const;        // with a deadline of kShort
  static constexpr Duration kShort = 1s;  // long enough for a handshake on a busy machine

  ExchangeOutcome exchange(const std::string& url, const ExchangeOptions& options, const std::string& body = "a=b");

  SteppedClock clock_;
  Transport transport_{clock_, loopback_only, oauth::Proxy{}};
  std::string ca_file_;

 private:
  std::filesystem::path folder_;
  Identity authority_;
  Identity good_;
};

// Fails the test when there is none.
const HttpResponse* answer_of(const ExchangeOutcome& outcome);
const TransportError* error_of(const ExchangeOutcome& outcome);

#define EXPECT_FAULT(outcome, expected_fault, expected_sent)             \
  do {                                                                   \
    const auto& seen_outcome = (outcome);                                \
    const auto* seen_error = ::credsync::test::error_of(seen_outcome);   \
    ASSERT_NE(seen_error, nullptr);                                      \
    EXPECT_EQ(seen_error->fault, (expected_fault)) << seen_error->words; \
    EXPECT_EQ(seen_error->sent, (expected_sent)) << seen_error->words;   \
  } while (false)

#define EXPECT_ANSWER(outcome, expected_body)                            \
  do {                                                                   \
    const auto& seen_outcome = (outcome);                                \
    const auto* seen_answer = ::credsync::test::answer_of(seen_outcome); \
    ASSERT_NE(seen_answer, nullptr);                                     \
    EXPECT_EQ(seen_answer->body.text(), (expected_body));                \
  } while (false)

}  // namespace credsync::test
