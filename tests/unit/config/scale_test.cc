// Ten thousand accounts load in reasonable time, in few large files or in one file each.
#include <chrono>

#include "tests/unit/config/config_fixture.h"

namespace credsync::config {
namespace {

constexpr int kAccounts = 10000;
// Far above what it takes (about 0.3 s optimised, 2 s in a debug build with sanitizers): this catches what grows faster
// than the accounts do, not a slow machine.
constexpr std::chrono::seconds kPatience(20);

std::string account_text(int i) {
  return "[account.a" + std::to_string(i) + "]\nprovider = \"acme\"\ngrant = \"client_credentials\"\nclient_id = \"id" +
         std::to_string(i) + "\"\nclient_secret = { file = \"acme.secret\" }\nscopes = [\"one\", \"two\"]\nallow = [ { user = 0 } ]\n";
}

class Scale : public ConfigTest {
 protected:
  void expect_all_in_time() {
    const auto start = std::chrono::steady_clock::now();
    const Loaded loaded = load();
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_TRUE(loaded.usable()) << ::testing::PrintToString(shown(loaded)).substr(0, 500);
    EXPECT_EQ(loaded.config.accounts.size(), static_cast<std::size_t>(kAccounts));
    EXPECT_LT(took, kPatience);
    RecordProperty("milliseconds", static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
    std::printf("[          ] %d accounts in %lld ms\n", kAccounts,
                static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
  }
};

TEST_F(Scale, TenThousandAccountsInTenFiles) {
  for (int file = 0; file < 10; ++file) {
    std::string text;
    for (int i = 0; i < kAccounts / 10; ++i) text += account_text(file * (kAccounts / 10) + i);
    write("etc/accounts.d/" + std::to_string(file) + ".toml", text);
  }
  expect_all_in_time();
}

TEST_F(Scale, TenThousandAccountsInAFileEach) {
  for (int i = 0; i < kAccounts; ++i) write("etc/accounts.d/" + std::to_string(i) + ".toml", account_text(i));
  expect_all_in_time();
}

}  // namespace
}  // namespace credsync::config
