// Of what C++ and C give back nothing stays on the heap, whoever gave it back. The marks are kept masked, so that the
// search does not find what it searches for.
#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

namespace {

constexpr unsigned char kMask = 0xa5;
constexpr std::size_t kSize = 32;

class Mark {
 public:
  Mark() {
    std::ifstream random("/dev/urandom", std::ios::binary);
    for (unsigned char& byte : masked_)
      byte = static_cast<unsigned char>(('a' + random.get() % 26) ^ kMask);
  }
  void append_to(std::string& text) const {
    for (const unsigned char byte : masked_)
      text += static_cast<char>(byte ^ kMask);
  }
  // On the heap; the second half of each, for freeing overwrites the beginning.
  int copies() const {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find("[heap]") != std::string::npos) std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR, &from, &to);
    }
    int found = 0;
    for (const auto* at = reinterpret_cast<const unsigned char*>(from);
         at + kSize <= reinterpret_cast<const unsigned char*>(to); ++at)
      found += matches(at) ? 1 : 0;
    return found;
  }

 private:
  bool matches(const unsigned char* at) const {
    for (std::size_t i = kSize / 2; i < kSize; ++i) {
      if (at[i] != (masked_[i] ^ kMask)) return false;
    }
    return true;
  }
  unsigned char masked_[kSize];
};

class WipingHeap : public ::testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the sanitizers bring operators of their own";
#endif
  }
};

TEST_F(WipingHeap, AStringThatGrewLeavesNothing) {
  const Mark mark;
  {
    std::string text;
    mark.append_to(text);
    EXPECT_EQ(mark.copies(), 1) << "the search finds what is there";
    for (int i = 0; i < 8; ++i)
      text += std::string(text.size(), 'x');
    EXPECT_EQ(mark.copies(), 1) << "only where it is now";
  }
  EXPECT_EQ(mark.copies(), 0);
}

TEST_F(WipingHeap, ContainersAndStreamsLeaveNothing) {
  const Mark mark;
  {
    std::string text;
    mark.append_to(text);
    std::map<std::string, std::vector<std::string>> nested{{text, {text, text + text}}};
    std::ostringstream stream;
    for (int i = 0; i < 50; ++i)
      stream << text;
    EXPECT_GE(mark.copies(), 54);
    EXPECT_EQ(stream.str().size(), 50 * kSize);
  }
  EXPECT_EQ(mark.copies(), 0);
}

TEST_F(WipingHeap, AlignedBlocksAndArraysToo) {
  struct alignas(64) Wide {
    char bytes[64];
  };
  const Mark mark;
  std::string text;
  mark.append_to(text);
  auto wide = std::make_unique<Wide>();
  auto array = std::make_unique<char[]>(kSize);
  text.copy(wide->bytes, kSize);
  text.copy(array.get(), kSize);
  EXPECT_EQ(mark.copies(), 3);
  wide.reset();
  array.reset();
  EXPECT_EQ(mark.copies(), 1);
}

// Blocks of C libraries: moved when they grow, kept when they fit.
TEST_F(WipingHeap, ABlockThatMovesLeavesNothing) {
  const Mark mark;
  {
    std::string text;
    mark.append_to(text);
    char* block = static_cast<char*>(std::malloc(kSize));
    text.copy(block, kSize);
    std::vector<void*> between;
    for (std::size_t size = 2 * kSize; size < 20'000; size *= 2) {
      between.push_back(std::malloc(kSize));  // so that it cannot grow where it is
      block = static_cast<char*>(std::realloc(block, size));
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(std::string(block, kSize), text);
      EXPECT_EQ(mark.copies(), 2) << size;
    }
    block = static_cast<char*>(std::realloc(block, kSize));
    EXPECT_EQ(std::string(block, kSize), text);
    EXPECT_EQ(mark.copies(), 2);
    block = static_cast<char*>(std::realloc(block, kSize - 1));
    EXPECT_EQ(std::string(block, kSize - 1), text.substr(0, kSize - 1));
    std::free(block);
    for (void* piece : between)
      std::free(piece);
    EXPECT_EQ(mark.copies(), 1);
  }
  EXPECT_EQ(mark.copies(), 0);
}

}  // namespace
