// What stays in memory of a request and its answer: nothing. The server is a process of its own, for its
// copies do not count; the marks themselves are kept masked here, so that the search does not find what it
// searches for.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <vector>

#include "tests/unit/transport/transport_fixture.h"

namespace credsync::test {
namespace {

constexpr unsigned char kMask = 0xa5;

// A random word that never lies in memory in the clear except where reveal() puts it.
class Mark {
 public:
  Mark() {
    std::ifstream random("/dev/urandom", std::ios::binary);
    for (unsigned char& byte : masked_) {
      byte = static_cast<unsigned char>(('a' + random.get() % 26) ^ kMask);
    }
  }
  void append_to(std::string& text) const {
    for (const unsigned char byte : masked_)
      text += static_cast<char>(byte ^ kMask);
  }

  // In all memory that this process may write. Half is enough, for freeing memory overwrites the beginning of
  // it, and half a token is a token too many.
  int copies_in_memory() const {
    std::ifstream maps("/proc/self/maps");
    std::vector<std::pair<const unsigned char*, const unsigned char*>> areas;
    for (std::string line; std::getline(maps, line);) {
      std::uintptr_t from = 0;
      std::uintptr_t to = 0;
      char mode[5] = "";
      if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, mode) != 3) continue;
      if (mode[0] != 'r' || mode[1] != 'w' || line.find("[vvar") != std::string::npos) continue;
      areas.emplace_back(reinterpret_cast<const unsigned char*>(from), reinterpret_cast<const unsigned char*>(to));
    }
    int first_halves = 0;
    int second_halves = 0;
    for (const auto& [from, to] : areas) {
      for (const unsigned char* at = from; at + kHalf <= to; ++at) {
        first_halves += matches(at, 0);
        second_halves += matches(at, kHalf);
      }
    }
    return std::max(first_halves, second_halves);
  }

 private:
  static constexpr std::size_t kHalf = 16;
  bool matches(const unsigned char* at, std::size_t from) const {
    for (std::size_t i = 0; i < kHalf; ++i) {
      if (at[i] != (masked_[from + i] ^ kMask)) return false;
    }
    return true;
  }
  unsigned char masked_[2 * kHalf];
};

class WipingTest : public TransportTest {
 protected:
  // Serves in a child until told to end; the port comes back through a pipe.
  void serve_elsewhere(const Mark& answer_mark, bool chunked) {
    int port_pipe[2];
    int end_pipe[2];
    ASSERT_EQ(::pipe(port_pipe), 0);
    ASSERT_EQ(::pipe(end_pipe), 0);
    child_ = ::fork();
    if (child_ == 0) {
      ::close(end_pipe[1]);
      std::string body = "{\"access_token\":\"";
      answer_mark.append_to(body);
      body += "\"," + std::string(40'000, ' ') + "\"refresh_token\":\"";  // several pieces: growing must leave none
      answer_mark.append_to(body);
      body += "\"}";
      std::string answer = ok_answer(body);
      if (chunked) {
        char size[16];
        std::snprintf(size, sizeof size, "%zx", body.size());
        answer = std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") + size + "\r\n" + body +
                 "\r\n0\r\n\r\n";
      }
      Server server(answer_always(answer), tls());
      const std::uint16_t port = server.port();
      char byte = 0;
      const bool told = ::write(port_pipe[1], &port, sizeof port) == sizeof port && ::read(end_pipe[0], &byte, 1) == 0;
      ::_exit(told ? 0 : 1);
    }
    ::close(end_pipe[0]);
    end_ = end_pipe[1];
    ASSERT_EQ(::read(port_pipe[0], &port_, sizeof port_), static_cast<ssize_t>(sizeof port_));
  }
  // The first call of a function that libstdc++ binds late leaves the vector registers on the stack. A daemon
  // that is started with LD_BIND_NOW=1 has that behind it; here one exchange that does not count does the
  // same.
  void bind_symbols() {
    const Mark mark;
    serve_elsewhere(mark, false);
    EXPECT_NE(answer_of(exchange(url(), options())), nullptr);
    mark.copies_in_memory();  // the search too
    TearDown();
  }
  void TearDown() override {
    ::close(end_);
    ::waitpid(child_, nullptr, 0);
  }
  std::string url() const { return "https://provider.test:" + std::to_string(port_) + "/"; }

 private:
  pid_t child_ = -1;
  int end_ = -1;
  std::uint16_t port_ = 0;
};

TEST_F(WipingTest, NothingOfRequestAndAnswerStays) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's shadow memory is terabytes to search";
#endif
  bind_symbols();
  for (const bool chunked : {false, true}) {
    for (const bool fresh : {true, false}) {
      SCOPED_TRACE(std::string(chunked ? "chunked" : "length") + (fresh ? ", fresh" : ", kept"));
      const Mark body_mark;
      const Mark header_mark;
      const Mark answer_mark;
      serve_elsewhere(answer_mark, chunked);
      {
        HttpRequest request;
        request.url = url();
        request.body.text().reserve(9000);
        request.body.text() = std::string(8000, 'x') + "&refresh_token=";
        body_mark.append_to(request.body.text());
        request.headers.push_back({"Authorization", ""});
        request.headers.back().value.reserve(4000);
        request.headers.back().value.append(3000, 'x');
        header_mark.append_to(request.headers.back().value);
        ExchangeOptions mine = options();
        mine.fresh_connection = fresh;
        const auto outcome = transport_.exchange(request, mine);
        ASSERT_NE(answer_of(outcome), nullptr);
        EXPECT_EQ(answer_mark.copies_in_memory(), 2);  // at both ends: the search does find what there is
        EXPECT_EQ(body_mark.copies_in_memory(), 1);
        EXPECT_EQ(header_mark.copies_in_memory(), 1);
      }
      EXPECT_EQ(answer_mark.copies_in_memory(), 0);
      EXPECT_EQ(body_mark.copies_in_memory(), 0);
      EXPECT_EQ(header_mark.copies_in_memory(), 0);
      TearDown();
    }
  }
}

}  // namespace
}  // namespace credsync::test
