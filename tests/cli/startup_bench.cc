// What `credsync token` costs from fork to exit, beside an empty program, in the same run (design section
// 12).
//   startup_bench EMPTY CREDSYNC LIMIT
// Prints medians and their ratio; fails when the ratio is above LIMIT (0: no limit). A thread of this program
// answers.
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kRounds = 300;
constexpr std::size_t kTokenSize = 1200;  // a signed JWT

std::string answer() {
  const std::string token(kTokenSize, 'x');
  const std::string body = R"({"account":"flat-me","access_token":")" + token +
                           R"(","token_type":"Bearer","expires_at":"2030-01-01T00:00:00Z","expires_in":3000,)"
                           R"("scope":["scores"],"generation":7,"min_valid_met":true,"state":"ok",)"
                           R"("header":{"name":"Authorization","value":"Bearer )" +
                           token + R"("},"extra":{}})";
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

int listen_at(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const bool good =
      ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(fd, 16) == 0;
  return good ? fd : -1;
}

void serve(int listener, const std::string& text) {
  char request[4096];
  for (int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC); fd >= 0;
       fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)) {
    if (::read(fd, request, sizeof request) > 0) (void)!::write(fd, text.data(), text.size());
    ::close(fd);
  }
}

// Microseconds from fork to exit; negative when it failed.
double run_once(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  const auto begin = std::chrono::steady_clock::now();
  pid_t pid = 0;
  int status = -1;
  if (::posix_spawn(&pid, arguments[0], &actions, nullptr, arguments.data(), environ) == 0) ::waitpid(pid, &status, 0);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  ::posix_spawn_file_actions_destroy(&actions);
  return status == 0 ? took.count() : -1;
}

double median(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int measure(const std::string& empty, const std::string& credsync, double limit) {
  std::vector<double> floor, token;
  for (int i = 0; i < kRounds; ++i) {
    floor.push_back(run_once({empty}));
    token.push_back(run_once({credsync, "token", "flat-me"}));
  }
  if (std::any_of(token.begin(), token.end(), [](double t) { return t < 0; })) {
    std::fputs("credsync failed\n", stderr);
    return 1;
  }
  const double base = median(floor), cost = median(token);
  std::printf("empty main %.0f us, credsync token %.0f us, ratio %.2f\n", base, cost, cost / base);
  return limit > 0 && cost / base > limit ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  char directory[] = "/tmp/credsync-bench-XXXXXX";
  if (::mkdtemp(directory) == nullptr) return 1;
  const std::string path = std::string(directory) + "/api.sock";
  const int listener = listen_at(path);
  if (listener < 0) return 1;
  ::setenv("CREDSYNC_SOCKET", path.c_str(), 1);
  std::thread server(serve, listener, answer());
  const int result = measure(argv[1], argv[2], std::strtod(argv[3], nullptr));
  ::shutdown(listener, SHUT_RDWR);
  server.join();
  ::unlink(path.c_str());
  ::rmdir(directory);
  return result;
}
