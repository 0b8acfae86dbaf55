// Turns host names into addresses without ever blocking longer than the exchange may: getaddrinfo can hang
// for 10 s and more and cannot be cancelled, so it runs on a thread of its own that may be left behind.
// Thread-safe.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "daemon/oauth/socket_patience.h"

namespace credsync::oauth {

// Look-ups of one name that may be under way at once; one that hangs may hang for good, so it is not the only one.
constexpr int kMaxLookupsOfOne = 4;
// Who asks for a name within this time of the last look-up for it waits for that one: then resolvers try their first
// server again (resolv.conf(5)).
constexpr Duration kLookupShared = 5s;
// Look-ups that nobody waits for any more but that have not come back. With so many, of 16 names at least, the resolver
// is ill: fail at once.
constexpr int kMaxAbandonedLookups = 64;
// Addresses tried of one host; more would not be reached within the deadline anyway (250 ms apart).
constexpr std::size_t kMaxAddresses = 16;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  bool is_loopback() const;  // 127.0.0.0/8, ::1 and its IPv4-mapped form
};

// An IPv4 or IPv6 literal (without brackets), as an address.
std::optional<Address> literal_address(const std::string& host, std::uint16_t port);

// Blocking, called on any thread; in the order in which they should be tried.
using Resolve = std::function<Result<std::vector<Address>>(const std::string& host, std::uint16_t port)>;
Result<std::vector<Address>> resolve_by_system(const std::string& host, std::uint16_t port);

class AddressLookup {
 public:
  explicit AddressLookup(Resolve resolve);

  // Fails with kResolve, with kDeadline, or when stopped. At least one address otherwise, at most
  // kMaxAddresses. `name` is for words.
  Outcome<std::vector<Address>> find(const std::string& host, std::uint16_t port, const std::string& name,
                                     const Patience& patience) const;

 private:
  using Place = std::pair<std::string, std::uint16_t>;  // host and port
  struct Shared;
  struct Job;
  // The look-up to wait for, under way already or new. Words: why there is none.
  tl::expected<std::shared_ptr<Job>, std::string_view> join(const Place& place, BootTime now) const;
  // Null when there is no thread or descriptor left.
  std::shared_ptr<Job> start(const Place& place) const;
  // Shared with the threads left behind, which may outlive this object.
  std::shared_ptr<Shared> shared_;
};

}  // namespace credsync::oauth
