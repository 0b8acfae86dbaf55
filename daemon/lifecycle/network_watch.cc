#include "daemon/lifecycle/network_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/log.h"

namespace credsync::lifecycle {
namespace {

constexpr std::size_t kReadSize = 16 * 1024;  // larger than any one message of these kinds
constexpr int kReadsPerTurn = 64;

// Something came; what goes mends nothing.
bool tells_of_arrival(std::string_view bytes) {
  nlmsghdr message{};
  while (bytes.size() >= sizeof message) {
    std::memcpy(&message, bytes.data(), sizeof message);
    if (message.nlmsg_len < sizeof message || message.nlmsg_len > bytes.size()) return false;
    if (message.nlmsg_type == RTM_NEWADDR || message.nlmsg_type == RTM_NEWROUTE) return true;
    bytes.remove_prefix(std::min(bytes.size(), std::size_t{NLMSG_ALIGN(message.nlmsg_len)}));
  }
  return false;
}

}  // namespace

NetworkWatch::NetworkWatch(Loop& loop, Agenda& agenda, const Clock& clock, std::function<bool()> on_change)
    : loop_(loop), clock_(clock), on_change_(std::move(on_change)), due_(agenda, [this] { settled(); }) {}

void NetworkWatch::want() {
  if (listening() || forbidden_) return;
  if (const auto listens = listen(); !listens) {
    forbidden_ = true;
    log::info("changes of the network are not noticed; what failed is retried by the clock alone",
              {{"WHY", listens.error().message()}});
  }
}

Result<void> NetworkWatch::listen() {
  Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!socket) return from_errno("make a netlink socket", errno);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return from_errno("listen to the network's changes", errno);
  auto watch = loop_.watch(socket.get(), EPOLLIN, [this](std::uint32_t) { on_ready(); });
  if (!watch) return watch.error();
  socket_ = std::move(socket);
  watch_ = std::move(*watch);
  return {};
}

void NetworkWatch::on_ready() {
  alignas(nlmsghdr) std::array<char, kReadSize> buffer;
  bool arrived = false;
  for (int left = kReadsPerTurn; left != 0; --left) {
    sockaddr_nl from{};
    socklen_t size = sizeof from;
    const ssize_t got =
        ::recvfrom(socket_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) arrived = true;  // so much happened that some was lost
    if (got < 0 && errno != ENOBUFS) break;
    const bool from_kernel = got > 0 && size == sizeof from && from.nl_pid == 0;
    if (from_kernel && tells_of_arrival({buffer.data(), static_cast<std::size_t>(got)})) arrived = true;
  }
  if (arrived && !due_.when()) due_.set(std::max(clock_.boot() + kNetworkSettles, next_));
}

void NetworkWatch::settled() {
  next_ = clock_.boot() + kBetweenNetworkChanges;
  if (on_change_()) return;
  watch_.reset();
  socket_.reset();
}

}  // namespace credsync::lifecycle
