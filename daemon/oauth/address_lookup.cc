#include "daemon/oauth/address_lookup.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

namespace credsync::oauth {

struct AddressLookup::Job {
  Descriptor done_event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};  // never read, so that all who wait see it
  BootTime begun;
  int waiting = 0;
  bool done = false;
  Result<std::vector<Address>> found = std::vector<Address>{};
};

struct AddressLookup::Shared {
  Resolve resolve;
  std::mutex mutex;                                            // guards what follows, and what is in the jobs
  std::map<Place, std::vector<std::shared_ptr<Job>>> running;  // the newest last; no place without a job

  std::ptrdiff_t abandoned() const {
    std::ptrdiff_t count = 0;
    for (const auto& [place, jobs] : running)
      count += std::count_if(jobs.begin(), jobs.end(), [](const auto& job) { return job->waiting == 0; });
    return count;
  }
  void came_back(const Place& place, const std::shared_ptr<Job>& job, Result<std::vector<Address>> found) {
    const std::lock_guard lock(mutex);
    job->found = std::move(found);
    job->done = true;
    ::eventfd_write(job->done_event.get(), 1);
    const auto at = running.find(place);
    std::erase(at->second, job);
    if (at->second.empty()) running.erase(at);
  }
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

std::shared_ptr<AddressLookup::Job> AddressLookup::start(const Place& place) const {
  auto job = std::make_shared<Job>();
  if (!job->done_event) return nullptr;
  try {
    std::thread([job, shared = shared_, place] {
      shared->came_back(place, job, shared->resolve(place.first, place.second));
    }).detach();
  } catch (const std::system_error&) {
    return nullptr;
  }
  return job;
}

tl::expected<std::shared_ptr<AddressLookup::Job>, std::string_view> AddressLookup::join(const Place& place,
                                                                                        BootTime now) const {
  const std::lock_guard lock(shared_->mutex);
  const auto at = shared_->running.find(place);
  if (at != shared_->running.end()) {
    const auto& last = at->second.back();
    if (now - last->begun < kLookupShared || std::ssize(at->second) >= kMaxLookupsOfOne) {
      ++last->waiting;
      return last;
    }
  }
  if (shared_->abandoned() >= kMaxAbandonedLookups)
    return tl::unexpected(std::string_view("too many look-ups hang already"));
  auto job = start(place);  // its thread waits for the lock before it is done
  if (!job) return tl::unexpected(std::string_view("no thread left to look it up"));
  job->begun = now;
  job->waiting = 1;
  shared_->running[place].push_back(job);
  return job;
}

Outcome<std::vector<Address>> AddressLookup::find(const std::string& host, std::uint16_t port, const std::string& name,
                                                  const Patience& patience) const {
  if (auto literal = literal_address(host, port)) return std::vector<Address>{*literal};
  const std::string doing = "looking up " + name;
  if (auto going = patience.check(doing); !going) return tl::unexpected(going.error());
  const auto joined = join({host, port}, patience.now());
  if (!joined) return failed(TransportFault::kResolve, name + ": " + std::string(joined.error()));
  Job& job = **joined;
  const auto waited = patience.wait(job.done_event.get(), POLLIN, doing);
  const std::lock_guard lock(shared_->mutex);
  --job.waiting;
  if (!job.done) return tl::unexpected(waited.error());
  if (!job.found) return failed(TransportFault::kResolve, name + ": " + job.found.error().message());
  if (job.found->empty()) return failed(TransportFault::kResolve, name + ": no address");
  std::vector<Address> found = *job.found;
  if (found.size() > kMaxAddresses) found.resize(kMaxAddresses);
  return found;
}

}  // namespace credsync::oauth
