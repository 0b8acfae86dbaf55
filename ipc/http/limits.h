// How much of the front door one user, and all together, may hold at a time. Counted by the uid that the
// kernel vouches for; what one user is refused, nobody else notices.
#pragma once

#include <algorithm>

namespace credsync::ipc::http {

struct Limits {
  unsigned max_connections_per_user = 64;
  unsigned max_waiting_per_user = 64;  // requests that wait for a provider
  unsigned max_streams_per_user = 16;  // subscriptions to events
  unsigned max_connections = 4096;     // all users together; never more than the process has descriptors for
  // Sustained; a second's worth may come at once. New connections count as well. 0: any number.
  unsigned max_requests_per_second = 0;

  // The rest follows from the one number that an admin sets.
  static Limits per_user(unsigned connections) {
    constexpr unsigned kUsersAtTheirLimit = 64;
    Limits limits;
    limits.max_connections_per_user = connections;
    limits.max_waiting_per_user = connections;
    limits.max_streams_per_user = std::max(1U, connections / 4);
    limits.max_connections = std::max(limits.max_connections, std::min(connections, 16384U) * kUsersAtTheirLimit);
    return limits;
  }
};

}  // namespace credsync::ipc::http
