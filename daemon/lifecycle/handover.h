// What the service manager hands to a process that it starts: the listening socket of a socket unit (sd_listen_fds(3)),
// the address for notifications (sd_notify(3)), how often the watchdog wants to be fed (sd_watchdog_enabled(3)).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"

namespace credsync::lifecycle {

// The name that the socket unit gives its descriptor (FileDescriptorName=).
inline constexpr std::string_view kSocketName = "http";

struct PassedSocket {
  Descriptor descriptor;  // close-on-exec
  std::string name;
};

struct Handover {
  std::vector<PassedSocket> sockets;
  std::string notify_address;        // empty: nobody listens
  std::optional<Duration> watchdog;  // it is to be fed at least so often
};

// Takes it out of the environment, so that no program we run can speak for us or take our socket. Before there are
// threads: they may read the environment.
Handover take_handover();

// The one socket to listen on; nothing when none was passed. kInvalid, in words for an admin: another number than one,
// another name, not a listening Unix stream socket, one at another path than `path` (listen.http), where nobody would look
// for us, or one without PassCredentials=yes.
Result<std::optional<Descriptor>> choose_socket(std::vector<PassedSocket> passed, const std::string& path);

}  // namespace credsync::lifecycle
