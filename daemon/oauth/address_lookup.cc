#include "daemon/oauth/address_lookup.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/eventfd.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>

namespace credsync::oauth {

struct AddressLookup::Shared {
  Resolve resolve;
  std::atomic<int> abandoned{0};
};

struct AddressLookup::Job {
  Descriptor done_event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex;
  bool done = false;
  bool abandoned = false;
  Result<std::vector<Address>> found = std::vector<Address>{};
};

bool Address::is_loopback() const {
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof v4);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
  }
  if (storage.ss_family != AF_INET6) return false;
  sockaddr_in6 v6{};
  std::memcpy(&v6, &storage, sizeof v6);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return v6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

std::optional<Address> literal_address(const std::string& host, std::uint16_t port) {
  if (host.find('\0') != std::string::npos) return std::nullopt;  // inet_pton(3) would read what stands before it
  Address address;
  sockaddr_in v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.size = sizeof v4;
    return address;
  }
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return std::nullopt;
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&address.storage, &v6, sizeof v6);
  address.size = sizeof v6;
  return address;
}

Result<std::vector<Address>> resolve_by_system(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int problem = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (problem == EAI_SYSTEM) return from_errno("name look-up", errno);
  if (problem != 0) return unavailable("name look-up: " + std::string(::gai_strerror(problem)));
  std::vector<Address> found;
  for (const addrinfo* entry = list; entry != nullptr && found.size() < kMaxAddresses; entry = entry->ai_next) {
    if (entry->ai_addrlen > sizeof(sockaddr_storage)) continue;
    Address address;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.size = entry->ai_addrlen;
    found.push_back(address);
  }
  ::freeaddrinfo(list);
  return found;
}

AddressLookup::AddressLookup(Resolve resolve) : shared_(std::make_shared<Shared>()) {
  shared_->resolve = resolve ? std::move(resolve) : resolve_by_system;
}

std::shared_ptr<AddressLookup::Job> AddressLookup::start(const std::string& host, std::uint16_t port) const {
  auto job = std::make_shared<Job>();
  if (!job->done_event) return nullptr;
  try {
    std::thread([job, shared = shared_, host, port] {
      auto found = shared->resolve(host, port);
      const std::lock_guard lock(job->mutex);
      if (job->abandoned) {
        --shared->abandoned;
        return;
      }
      job->found = std::move(found);
      job->done = true;
      ::eventfd_write(job->done_event.get(), 1);
    }).detach();
  } catch (const std::system_error&) {
    return nullptr;
  }
  return job;
}

Outcome<std::vector<Address>> AddressLookup::find(const std::string& host, std::uint16_t port, const std::string& name,
                                                  const Patience& patience) const {
  if (auto literal = literal_address(host, port)) return std::vector<Address>{*literal};
  const std::string doing = "looking up " + name;
  if (auto going = patience.check(doing); !going) return tl::unexpected(going.error());
  if (shared_->abandoned.load() >= kMaxAbandonedLookups) {
    return failed(TransportFault::kResolve, name + ": too many look-ups hang already");
  }
  const auto job = start(host, port);
  if (!job) return failed(TransportFault::kResolve, name + ": no thread left to look it up");
  const auto waited = patience.wait(job->done_event.get(), POLLIN, doing);
  const std::lock_guard lock(job->mutex);
  if (!job->done) {
    job->abandoned = true;
    ++shared_->abandoned;
    return tl::unexpected(waited.error());
  }
  if (!job->found) return failed(TransportFault::kResolve, name + ": " + job->found.error().message());
  if (job->found->empty()) return failed(TransportFault::kResolve, name + ": no address");
  if (job->found->size() > kMaxAddresses) job->found->resize(kMaxAddresses);
  return std::move(*job->found);
}

}  // namespace credsync::oauth
