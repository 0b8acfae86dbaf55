#include "daemon/lifecycle/handover.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/text.h"

namespace credsync::lifecycle {
namespace {

std::vector<PassedSocket> take_sockets() {
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(1, &names);
  std::vector<PassedSocket> passed;
  for (int i = 0; i < count; ++i) {
    passed.push_back({Descriptor(SD_LISTEN_FDS_START + i), names != nullptr ? names[i] : ""});
    if (names != nullptr) std::free(names[i]);
  }
  std::free(names);
  return passed;
}

std::string path_of(int socket) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0 || address.sun_family != AF_UNIX)
    return {};
  const std::size_t longest = size > offsetof(sockaddr_un, sun_path) ? size - offsetof(sockaddr_un, sun_path) : 0;
  return std::string(address.sun_path, ::strnlen(address.sun_path, longest));
}

bool tells_senders(int socket) {
  int on = 0;
  socklen_t size = sizeof on;
  return ::getsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, &size) == 0 && on != 0;
}

// The same file by another name, as with /var/run and /run.
bool same_file(const std::string& one, const std::string& other) {
  struct stat a {};
  struct stat b {};
  return ::stat(one.c_str(), &a) == 0 && ::stat(other.c_str(), &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

Handover take_handover() {
  Handover handover;
  handover.sockets = take_sockets();
  std::uint64_t usec = 0;
  if (::sd_watchdog_enabled(1, &usec) > 0) handover.watchdog = Duration(static_cast<Duration::rep>(usec));
  if (const char* address = std::getenv("NOTIFY_SOCKET")) handover.notify_address = address;
  ::unsetenv("NOTIFY_SOCKET");
  return handover;
}

Result<std::optional<Descriptor>> choose_socket(std::vector<PassedSocket> passed, const std::string& path) {
  if (passed.empty()) return std::optional<Descriptor>();
  if (passed.size() > 1) {
    return invalid("systemd passes " + std::to_string(passed.size()) +
                   " sockets; credsyncd takes one: a socket unit with one ListenStream=" + path);
  }
  PassedSocket& only = passed.front();
  if (only.name != kSocketName) {
    return invalid("the passed socket is named \"" + clean_foreign_text(only.name) +
                   "\"; the socket unit must say FileDescriptorName=" + std::string(kSocketName));
  }
  if (::sd_is_socket_unix(only.descriptor.get(), SOCK_STREAM, 1, nullptr, 0) <= 0) {
    return invalid("the passed socket is not a listening Unix stream socket; the socket unit must say ListenStream=" +
                   path);
  }
  const std::string there = path_of(only.descriptor.get());
  if (there != path && (there.empty() || !same_file(there, path))) {
    return invalid("the passed socket listens on " + (there.empty() ? "no path" : clean_foreign_text(there)) +
                   ", but listen.http is " + path + "; set both the same");
  }
  // Without it the kernel does not say who wrote what was sent before we came, and such a request is worth nothing. Since
  // Linux 6.16 even a connection made by then stays without.
  if (!tells_senders(only.descriptor.get()))
    return invalid("the passed socket does not tell who writes; the socket unit must say PassCredentials=yes");
  return std::optional<Descriptor>(std::move(only.descriptor));
}

}  // namespace credsync::lifecycle
