#include "tests/unit/ipc/http_harness.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace credsync::ipc::http {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

}  // namespace

Client::Client(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) socket_.reset();
}

std::size_t Client::send_some(std::string_view bytes) {
  const ssize_t put = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (put < 0 && errno != EAGAIN && errno != EWOULDBLOCK) broken = true;
  return put < 0 ? 0 : static_cast<std::size_t>(put);
}

void Client::read_available() {
  std::array<char, 65536> buffer;
  while (!ended) {
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      received.append(buffer.data(), static_cast<std::size_t>(got));
      continue;
    }
    ended = got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    return;
  }
}

void Client::shut_writing() {
  ::shutdown(socket_.get(), SHUT_WR);
}

HttpTest::HttpTest() {
  char name[] = "/tmp/credsync-http-XXXXXX";
  directory_ = ::mkdtemp(name);
  ::chmod(directory_.c_str(), 0755);
  path_ = directory_ + "/api.sock";
  auto loop = Loop::create();
  loop_ = std::move(loop.value());
}

HttpTest::~HttpTest() {
  server_.reset();
  std::filesystem::remove_all(directory_);
}

Limits HttpTest::generous() {
  return Limits{64, 64, 16, 4096};
}

void HttpTest::start(const Limits& limits, const Timing& timing) {
  auto server = Server::create(*loop_, clock_, service_, limits, timing);
  ASSERT_TRUE(server) << server.error().message();
  server_ = std::move(*server);
  const auto listening = server_->listen(path_, 0666);
  ASSERT_TRUE(listening) << listening.error().message();
}

void HttpTest::turn(std::chrono::milliseconds at_most) {
  ::sd_event_run(loop_->native(), static_cast<std::uint64_t>(std::chrono::microseconds(at_most).count()));
}

bool HttpTest::until(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    turn();
  }
  return true;
}

void HttpTest::settle() {
  while (::sd_event_run(loop_->native(), 0) > 0) {
  }
}

Client HttpTest::connect() {
  if (!server_) start();
  return Client(path_);
}

void HttpTest::send(Client& client, std::string_view bytes) {
  until([&] {
    bytes.remove_prefix(client.send_some(bytes));
    return bytes.empty() || client.broken;
  });
}

Response HttpTest::read(Client& client) {
  std::optional<Response> response;
  until([&] {
    client.read_available();
    response = take_response(client.received);
    return response || client.ended;
  });
  return response.value_or(Response{});
}

Response HttpTest::ask(std::string_view bytes) {
  Client client = connect();
  send(client, bytes);
  return read(client);
}

Response HttpTest::get(std::string_view target) {
  return ask(request("GET", target));
}
Response HttpTest::post(std::string_view target, std::string_view body) {
  return ask(request("POST", target, body));
}

bool HttpTest::ends(Client& client) {
  return until([&] {
    client.read_available();
    return client.ended;
  });
}

std::optional<Response> take_response(std::string& bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string::npos) return std::nullopt;
  Response response;
  response.head = bytes.substr(0, end + 4);
  response.status = std::atoi(response.head.c_str() + std::strlen("HTTP/1.1 "));
  for (std::size_t at = response.head.find("\r\n") + 2; at < end;) {
    const std::size_t line_end = response.head.find("\r\n", at);
    const std::string line = response.head.substr(at, line_end - at);
    const std::size_t colon = line.find(": ");
    response.headers[lower(line.substr(0, colon))] = line.substr(colon + 2);
    at = line_end + 2;
  }
  const auto length = response.headers.find("content-length");
  const std::size_t size = length == response.headers.end() ? 0 : std::stoul(length->second);
  if (bytes.size() < end + 4 + size) return std::nullopt;
  response.body = bytes.substr(end + 4, size);
  bytes.erase(0, end + 4 + size);
  return response;
}

std::string request(std::string_view method, std::string_view target, std::string_view body, std::string_view more) {
  std::string text(method);
  text.append(" ").append(target).append(" HTTP/1.1\r\nHost: credsync\r\n").append(more);
  if (!body.empty()) text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  return text.append("\r\n").append(body);
}

}  // namespace credsync::ipc::http
