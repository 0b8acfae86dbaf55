#include "daemon/login/peer_user.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"

namespace credsync::login {
namespace {

constexpr uid_t kOverflowUser = 65534;  // a user that this namespace has no number for

// Address and port as they lie on the wire.
struct End {
  int family = 0;
  std::array<std::uint32_t, 4> address{};
  std::uint16_t port = 0;
};

End end_of(const sockaddr_storage& storage) {
  End end;
  end.family = storage.ss_family;
  if (end.family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    end.address[0] = in.sin_addr.s_addr;
    end.port = in.sin_port;
  } else if (end.family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &storage, sizeof in);
    std::memcpy(end.address.data(), &in.sin6_addr, sizeof in.sin6_addr);
    end.port = in.sin6_port;
  }
  return end;
}

// A closed socket has no inode any more, and the kernel says 0, root, for its owner.
std::optional<uid_t> believe(std::uint64_t user, std::uint64_t inode) {
  if (inode == 0 || user == kOverflowUser || user >= static_cast<uid_t>(-1)) return std::nullopt;
  return static_cast<uid_t>(user);
}

struct DiagRequest {
  nlmsghdr header{};
  inet_diag_req_v2 body{};
};

DiagRequest diag_request(const End& ours, const End& theirs) {
  DiagRequest request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.body.sdiag_family = static_cast<__u8>(theirs.family);
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = ~0U;
  inet_diag_sockid& id = request.body.id;
  id.idiag_sport = theirs.port;
  id.idiag_dport = ours.port;
  std::memcpy(id.idiag_src, theirs.address.data(), sizeof id.idiag_src);
  std::memcpy(id.idiag_dst, ours.address.data(), sizeof id.idiag_dst);
  id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return request;
}

// "0100007F:1F90": words of the machine's byte order, then the port as a number.
std::string proc_name(const End& end) {
  std::string name;
  char text[9];
  for (std::size_t i = 0; i < (end.family == AF_INET ? 1U : 4U); ++i) {
    std::snprintf(text, sizeof text, "%08X", end.address[i]);
    name += text;
  }
  std::snprintf(text, sizeof text, ":%04X", ntohs(end.port));
  return name + text;
}

template <typename Number>
std::optional<Number> whole(const std::string& text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<sockaddr_storage> address_by(int (*ask)(int, sockaddr*, socklen_t*), int connection) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (ask(connection, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return std::nullopt;
  return storage;
}

sockaddr_storage any_port_of_loopback(int family) {
  sockaddr_storage storage{};
  if (family == AF_INET) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::memcpy(&storage, &in, sizeof in);
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_addr = in6addr_loopback;
    std::memcpy(&storage, &in, sizeof in);
  }
  return storage;
}

Descriptor diag_socket() {
  return Descriptor(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG));
}

// What the kernel knows of the socket whose own end is `theirs`. Nothing: there is none, or it cannot say.
std::optional<inet_diag_msg> ask_diag(int netlink, const End& ours, const End& theirs) {
  const DiagRequest request = diag_request(ours, theirs);
  // The kernel answers within the call that sends, so there is nothing to wait for.
  if (::send(netlink, &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request)) return std::nullopt;
  alignas(nlmsghdr) std::array<char, 1024> answer{};
  sockaddr_nl from{};
  socklen_t from_size = sizeof from;
  const ssize_t got =
      ::recvfrom(netlink, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_size);
  if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(inet_diag_msg))) || from.nl_pid != 0) return std::nullopt;
  nlmsghdr header{};
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return std::nullopt;
  inet_diag_msg found{};
  std::memcpy(&found, answer.data() + NLMSG_HDRLEN, sizeof found);
  return found;
}

}  // namespace

std::optional<uid_t> owner_by_sock_diag(const sockaddr_storage& ours, const sockaddr_storage& theirs) {
  const Descriptor socket = diag_socket();
  if (!socket) return std::nullopt;
  const End us = end_of(ours), them = end_of(theirs);
  const auto found = ask_diag(socket.get(), us, them);
  // The look-up may fall back to a listening socket on that port: only the very connection counts.
  if (!found || found->id.idiag_sport != them.port || found->id.idiag_dport != us.port) return std::nullopt;
  return believe(found->idiag_uid, found->idiag_inode);
}

// That a socket is not found and that the kernel's module is missing is one and the same error, so the question is about
// a socket that is certainly there: a listening one of our own, which nobody else can take away.
std::optional<bool> has_sock_diag() {
  const Descriptor netlink = diag_socket();
  if (!netlink) {
    const bool out_of_room = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
    return out_of_room ? std::nullopt : std::optional(false);
  }
  for (const int family : {AF_INET, AF_INET6}) {
    const Descriptor listening(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_storage loopback = any_port_of_loopback(family);
    if (!listening || ::bind(listening.get(), reinterpret_cast<const sockaddr*>(&loopback), sizeof loopback) != 0 ||
        ::listen(listening.get(), 1) != 0)
      continue;
    const auto address = address_by(::getsockname, listening.get());
    if (!address) continue;
    const End itself = end_of(*address);
    End nobody;
    nobody.family = family;
    const auto found = ask_diag(netlink.get(), nobody, itself);
    return found && found->id.idiag_sport == itself.port;
  }
  return std::nullopt;
}

std::optional<uid_t> owner_by_proc(const sockaddr_storage& ours, const sockaddr_storage& theirs) {
  const End us = end_of(ours), them = end_of(theirs);
  const std::string wanted_local = proc_name(them), wanted_remote = proc_name(us);
  std::ifstream table(them.family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6");
  for (std::string line; std::getline(table, line);) {
    if (line.find(wanted_local) == line.npos) continue;  // they may be thousands
    // sl local_address rem_address st queues tr:when retrnsmt uid timeout inode
    std::istringstream words(line);
    std::vector<std::string> field;
    for (std::string word; field.size() < 10 && words >> word;)
      field.push_back(word);
    if (field.size() < 10 || field[1] != wanted_local || field[2] != wanted_remote) continue;
    const auto user = whole<std::uint64_t>(field[7]);
    const auto inode = whole<std::uint64_t>(field[9]);
    return user && inode ? believe(*user, *inode) : std::nullopt;
  }
  return std::nullopt;
}

PeerUsers::PeerUsers() : PeerUsers(Kernel{login::has_sock_diag, owner_by_sock_diag, owner_by_proc}) {}

std::optional<uid_t> PeerUsers::of(int connection) {
  const auto ours = address_by(::getsockname, connection);
  const auto theirs = address_by(::getpeername, connection);
  if (!ours || !theirs || ours->ss_family != theirs->ss_family) return std::nullopt;
  if (!has_sock_diag_) {
    has_sock_diag_ = kernel_.has_sock_diag();
    if (!has_sock_diag_) return std::nullopt;
    if (!*has_sock_diag_) log::warning("this kernel has no sock_diag: who connects is looked up in /proc/net", {});
  }
  return *has_sock_diag_ ? kernel_.by_sock_diag(*ours, *theirs) : kernel_.by_proc(*ours, *theirs);
}

}  // namespace credsync::login
