#include "daemon/login/loopback_connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/secret.h"
#include "daemon/oauth/callback.h"

namespace credsync::login {
namespace {

// Request line and header; a callback's target may take most of it.
constexpr std::size_t kHeaderBytes = oauth::kMaxCallbackBytes;
constexpr std::size_t kLingerBytes = 64 * 1024;  // what is thrown away so that an early answer can be read

std::string_view reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 303: return "See Other";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 410: return "Gone";
    case 413: return "Content Too Large";
    case 421: return "Misdirected Request";
    default: return "";
  }
}

}  // namespace

LoopbackReply reply_with(Page page) {
  return {page.status, std::move(page.policy), {}, {}, std::move(page.html), true};
}

LoopbackReply plain_reply(int status, std::string words) {
  return {status,
          "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
          {},
          {},
          std::move(words),
          false};
}

std::string to_wire(const LoopbackReply& reply) {
  std::string out = "HTTP/1.1 " + std::to_string(reply.status) + " " + std::string(reason(reply.status)) + "\r\n";
  const auto field = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) out.append(name).append(": ").append(value).append("\r\n");
  };
  field("Cache-Control", "no-store");
  field("Content-Security-Policy", reply.policy);
  field("Referrer-Policy", "no-referrer");
  field("X-Content-Type-Options", "nosniff");
  field("Cross-Origin-Opener-Policy", "same-origin");
  field("Cross-Origin-Resource-Policy", "same-origin");
  field("Location", reply.location);
  field("Allow", reply.allow);
  if (!reply.body.empty()) field("Content-Type", reply.html ? "text/html; charset=utf-8" : "text/plain; charset=utf-8");
  field("Connection", "close");
  if (reply.status != 204) field("Content-Length", std::to_string(reply.body.size()));
  return out + "\r\n" + reply.body;
}

LoopbackConnection::LoopbackConnection(Owner& owner, Loop& loop, Agenda& agenda, const Clock& clock, Descriptor socket,
                                       bool stranger)
    : owner_(owner),
      loop_(loop),
      clock_(clock),
      socket_(std::move(socket)),
      stranger_(stranger),
      reader_({kHeaderBytes, oauth::kMaxCallbackBytes, kHeaderBytes + oauth::kMaxCallbackBytes}),
      deadline_(agenda, [this] { end(); }) {}

void LoopbackConnection::start() {
  deadline_.set(clock_.boot() + kSilentTime);
  auto watched = loop_.watch(socket_.get(), EPOLLIN, [this](std::uint32_t events) { ready(events); });
  if (!watched) return end();
  watch_ = std::move(*watched);
}

void LoopbackConnection::ready(std::uint32_t events) {
  if (phase_ == Phase::kWriting && (events & EPOLLOUT) != 0) return transmit();
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLIN) == 0) return end();
  receive();
}

void LoopbackConnection::receive() {
  std::array<char, 4096> bytes;
  std::size_t thrown_away = 0;
  while (phase_ != Phase::kEnded) {
    const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got <= 0) return end();
    if (phase_ != Phase::kReading) {
      thrown_away += static_cast<std::size_t>(got);
      if (thrown_away > kLingerBytes) return end();
      continue;
    }
    if (input_.empty()) deadline_.set(clock_.boot() + kRequestTime);
    input_.append(std::string_view(bytes.data(), static_cast<std::size_t>(got)));
    wipe(bytes.data(), bytes.size());
    input_.consume(reader_.feed(input_.view()));
    using State = ipc::http::RequestReader::State;
    if (reader_.state() == State::kPartial) {
      if (input_.size() > kHeaderBytes) return answer(plain_reply(413, "too much"));
      continue;
    }
    phase_ = Phase::kHeld;
    deadline_.cancel();
    if (reader_.state() == State::kWhole) return owner_.asked(*this, reader_.request());
    const bool too_large = reader_.refusal().kind == ipc::ProblemKind::kTooLarge;
    return answer(plain_reply(too_large ? 413 : 400, reader_.refusal().detail));
  }
}

void LoopbackConnection::answer(const LoopbackReply& reply) {
  if (phase_ != Phase::kHeld && phase_ != Phase::kReading) return;
  output_ = to_wire(reply);
  phase_ = Phase::kWriting;
  deadline_.set(clock_.boot() + kAnswerTime);
  transmit();
}

void LoopbackConnection::transmit() {
  while (!output_.empty()) {
    const ssize_t sent = ::send(socket_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return watch_->set(EPOLLOUT);
    if (sent < 0) return end();
    output_.erase(0, static_cast<std::size_t>(sent));
  }
  answered_ = true;
  linger();
}

// Closing with bytes unread would reset the connection, and the answer might be lost on the way.
void LoopbackConnection::linger() {
  phase_ = Phase::kLingering;
  ::shutdown(socket_.get(), SHUT_WR);
  deadline_.set(clock_.boot() + kLingerTime);
  watch_->set(EPOLLIN);
}

void LoopbackConnection::end() {
  if (std::exchange(phase_, Phase::kEnded) == Phase::kEnded) return;
  deadline_.cancel();
  if (watch_) watch_->set(0);
  wipe(output_);
  owner_.ended(*this, answered_);
}

}  // namespace credsync::login
