#include "base/secret.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"

namespace credsync {
namespace {

static_assert(!std::is_copy_constructible_v<Secret>);
static_assert(!std::is_copy_assignable_v<Secret>);

TEST(Secret, MovesLeaveNothingBehind) {
  Secret a("token");
  Secret b(std::move(a));
  EXPECT_TRUE(a.empty());  // NOLINT: that is the point
  EXPECT_EQ(b.expose(), "token");
  b.wipe();
  EXPECT_TRUE(b.empty());
}

TEST(Secret, TakingWipesTheSource) {
  std::string text = "a secret that is longer than the small buffer";
  const char* memory = text.data();
  const std::size_t size = text.size();
  Secret secret = Secret::take(std::move(text));
  EXPECT_EQ(std::string(memory, size), std::string(size, '\0'));
  EXPECT_EQ(secret.size(), size);
}

TEST(Secret, ComparesByContent) {
  EXPECT_TRUE(same_secret(Secret("a"), Secret("a")));
  EXPECT_FALSE(same_secret(Secret("a"), Secret("b")));
  EXPECT_FALSE(same_secret(Secret("a"), Secret("ab")));
}

class CheckedFile : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/credsync-file-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory = name;
    path = directory + "/secret";
    ASSERT_TRUE(create_file(path, "value\n", 0600).has_value());
  }
  void TearDown() override {
    ::unlink(path.c_str());
    ::rmdir(directory.c_str());
  }
  std::string directory, path;
};

TEST_F(CheckedFile, IsReadWhenOnlyItsOwnerMay) {
  auto content = read_checked_file(path, 100, Secrecy::kSecret);
  ASSERT_TRUE(content.has_value());
  EXPECT_EQ(content->text(), "value\n");
}

TEST_F(CheckedFile, IsRefusedWhenOthersMayReadOrWrite) {
  ::chmod(path.c_str(), 0604);
  EXPECT_EQ(read_checked_file(path, 100, Secrecy::kSecret).error().code(), ErrorCode::kDenied);
  EXPECT_TRUE(read_checked_file(path, 100, Secrecy::kPublic).has_value());
  ::chmod(path.c_str(), 0602);
  EXPECT_EQ(read_checked_file(path, 100, Secrecy::kPublic).error().code(), ErrorCode::kDenied);
}

TEST_F(CheckedFile, IsRefusedWhenTooLargeMissingOrNoFile) {
  EXPECT_EQ(read_checked_file(path, 5, Secrecy::kSecret).error().code(), ErrorCode::kInvalid);
  EXPECT_EQ(read_checked_file(path + "x", 5, Secrecy::kSecret).error().code(), ErrorCode::kNotFound);
  const std::string fifo = directory + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(read_checked_file(fifo, 5, Secrecy::kSecret).error().code(), ErrorCode::kInvalid) << "and does not hang";
  ::unlink(fifo.c_str());
  EXPECT_FALSE(create_file(path, "again", 0600).has_value()) << "never overwrites";
}

}  // namespace
}  // namespace credsync
