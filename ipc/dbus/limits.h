// How much of the bus's front door one user, and all together, may hold at a time. Counted by the uid that the broker
// vouches for; what one user is refused, nobody else notices.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace credsync::ipc::dbus {

struct Limits {
  unsigned max_waiting_per_user = 64;        // requests that wait for a provider or for polkit, and long lists
  unsigned max_subscriptions_per_user = 16;  // connections of one user that get signals
  // Ten times what a busy service asks for; one connection that does nothing else reaches it on a fast machine, and then
  // leaves the loop more than half of its time.
  unsigned max_requests_per_second = 5000;
};

// Callers give up after 25 s (DBUS_TIMEOUT_USE_DEFAULT, sd_bus_call(3)): whatever is not known then is answered sooner.
inline constexpr Duration kAnswerWithin = 20s;
// What a wait for a provider leaves of it, so that its outcome can still be told.
inline constexpr Duration kLastWord = 250ms;
inline constexpr int kDefaultWait = 10;  // seconds
inline constexpr int kLongestWait = 20;
// No provider gives an access token that lives longer than a year for certain.
inline constexpr std::uint64_t kLongestMinValid = 365ULL * 86400;

// Of a request: the longest token or redirect address, several times over. Requests that wait are kept in memory.
inline constexpr std::size_t kMaxRequest = 64 * 1024;

// Answers that the bus has not taken yet; above it no call is read. A broker that others keep too busy to take answers goes on
// bringing calls: it has bounds for what it keeps of them, sd-bus has none for answers worth the name (384 x 1024). The socket
// holds some hundreds besides. Lists in parts, each as large as hundreds of others, go on only when there are none.
inline constexpr std::uint64_t kMostUnsent = 64;

// Names whose credentials are known or asked for. dbus-daemon has 2,048 connections at most unless told otherwise.
inline constexpr std::size_t kMaxSenders = 4096;
// Requests of one name that wait until its credentials are known; the broker answers in less than a millisecond.
inline constexpr std::size_t kMaxUnknownRequests = 256;

}  // namespace credsync::ipc::dbus
