// Ten thousand accounts load in reasonable time, in few large files or in one file each.
#include <cstdio>
#include <ctime>

#include "tests/unit/config/config_fixture.h"

namespace credsync::config {
namespace {

constexpr int kAccounts = 10000;
// Of processor time, far above what it takes (0.4 s optimised, 3 s in a debug build, more with sanitizers):
// this catches what grows faster than the accounts do, not a slow or busy machine.
constexpr double kMostSeconds = 30;

std::string account_text(int i) {
  return "[account.a" + std::to_string(i) + "]\nprovider = \"acme\"\ngrant = \"client_credentials\"\nclient_id = \"id" +
         std::to_string(i) +
         "\"\nclient_secret = { file = \"acme.secret\" }\nscopes = [\"one\", \"two\"]\nallow = [ { user = 0 "
         "} ]\n";
}

class Scale : public ConfigTest {
 protected:
  void expect_all_in_time() {
    const std::clock_t start = std::clock();
    const Loaded loaded = load();
    const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    EXPECT_TRUE(loaded.usable()) << ::testing::PrintToString(shown(loaded)).substr(0, 500);
    EXPECT_EQ(loaded.config.accounts.size(), static_cast<std::size_t>(kAccounts));
    EXPECT_LT(took, kMostSeconds);
    RecordProperty("milliseconds", static_cast<int>(took * 1000));
    std::printf("[          ] %d accounts in %.2f s of processor time\n", kAccounts, took);
  }
};

TEST_F(Scale, TenThousandAccountsInTenFiles) {
  for (int file = 0; file < 10; ++file) {
    std::string text;
    for (int i = 0; i < kAccounts / 10; ++i)
      text += account_text(file * (kAccounts / 10) + i);
    write("etc/accounts.d/" + std::to_string(file) + ".toml", text);
  }
  expect_all_in_time();
}

TEST_F(Scale, TenThousandAccountsInAFileEach) {
  for (int i = 0; i < kAccounts; ++i)
    write("etc/accounts.d/" + std::to_string(i) + ".toml", account_text(i));
  expect_all_in_time();
}

}  // namespace
}  // namespace credsync::config
