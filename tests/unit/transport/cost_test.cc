// What a new connection costs against a kept one, as a ratio on loopback in the same run.
#include <algorithm>
#include <cstdio>

#include "tests/unit/transport/transport_fixture.h"

namespace credsync::test {
namespace {

using CostTest = TransportTest;

TEST_F(CostTest, KeptConnectionIsCheaperThanANewOne) {
  constexpr int kRounds = 200;
  Server server(answer_always(ok_answer("{}")), tls());
  const auto measure = [&](bool fresh) {
    ExchangeOptions mine = options();
    mine.fresh_connection = fresh;
    std::vector<std::chrono::nanoseconds> times;
    for (int i = 0; i < kRounds; ++i) {
      const auto start = std::chrono::steady_clock::now();
      const auto outcome = exchange(https_url(server), mine);
      times.push_back(std::chrono::steady_clock::now() - start);
      EXPECT_NE(answer_of(outcome), nullptr);
    }
    std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
    return times[kRounds / 2];
  };
  const auto kept_cold = measure(false);
  const auto fresh = measure(true);
  const auto kept = std::min(kept_cold, measure(false));
  const double ratio = static_cast<double>(fresh.count()) / static_cast<double>(kept.count());
  std::printf("new TLS connection %.0f us, kept %.0f us: %.1f times\n", static_cast<double>(fresh.count()) / 1000,
              static_cast<double>(kept.count()) / 1000, ratio);
  RecordProperty("new_to_kept", std::to_string(ratio));
  EXPECT_GT(ratio, 1.5);
}

}  // namespace
}  // namespace credsync::test
