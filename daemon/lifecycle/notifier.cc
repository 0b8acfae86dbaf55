#include "daemon/lifecycle/notifier.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/text.h"

namespace credsync::lifecycle {
namespace {

constexpr std::size_t kLongestStatus = 512;  // one line on a terminal, and far below what a datagram holds

bool is_address(const std::string& address) {
  const bool known = address.size() > 1 && (address.front() == '/' || address.front() == '@');
  return known && address.size() < sizeof(sockaddr_un::sun_path);
}

std::string status_field(std::string_view line) {
  return "STATUS=" + clean_foreign_text(line, {}, kLongestStatus) + "\n";
}

void let_wait(int socket) {
  timeval limit{};
  limit.tv_sec = static_cast<time_t>(to_seconds(kNotifyPatience));
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

}  // namespace

Notifier::Notifier(std::string address) : address_(std::move(address)) {
  if (address_.empty()) return;
  if (!is_address(address_)) {
    log::warning("the service manager's address for notifications is of an unknown kind; it is told nothing",
                 {{"NOTIFY_SOCKET", clean_foreign_text(address_)}});
    return;
  }
  socket_ = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket_) let_wait(socket_.get());
}

void Notifier::ready(std::string_view status) {
  send("READY=1\n" + status_field(status), true);
}

void Notifier::reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  constexpr std::int64_t kMicro = 1'000'000;
  const std::int64_t usec = std::int64_t{now.tv_sec} * kMicro + now.tv_nsec / 1000;
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(usec) + "\n" + status_field("Reloading the configuration"),
       true);
}

void Notifier::stopping() {
  send("STOPPING=1\n" + status_field("Stopping"), true);
}

void Notifier::extend(Duration span) {
  send("EXTEND_TIMEOUT_USEC=" + std::to_string(span.count()) + "\n", true);
}

void Notifier::failed(std::string_view why) {
  send(status_field(why), true);
}

bool Notifier::status(std::string_view line) {
  return send(status_field(line), false);
}

void Notifier::alive() {
  send("WATCHDOG=1\n", false);
}

bool Notifier::send(const std::string& text, bool may_wait) {
  if (!heard()) return true;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(address_.begin(), address_.end(), address.sun_path);
  if (address_.front() == '@') address.sun_path[0] = '\0';
  // An abstract name ends with the length, a path with a NUL.
  const std::size_t size = offsetof(sockaddr_un, sun_path) + address_.size() + (address_.front() == '/' ? 1 : 0);
  ssize_t sent = 0;
  do {
    sent = ::sendto(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL | (may_wait ? 0 : MSG_DONTWAIT),
                    reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size));
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && may_wait)
    log::warning("the service manager could not be told", {{"ERROR", from_errno("notify", errno).message()}});
  return sent >= 0;
}

}  // namespace credsync::lifecycle
