// A hostile user of a message bus, an honest one, and a service that does nothing, for test_bus_flood.py.
//
//   bus_flood attack SOCKET SERVICE RATE     until SIGTERM: everything at once that a user can do to a service on a bus, RATE
//                                            messages a second (0: as fast as it can); then prints "MESSAGES CONNECTIONS",
//                                            how many were sent and opened
//   bus_flood measure SERVICE ACCOUNT        for each number of milliseconds on standard input: asks for the cached token
//                                            again and again for so long and prints "p50 p99 max count", microseconds. One
//                                            connection, opened at once: in an attack the bus takes no new ones for a while.
//                                            The bus is the one that DBUS_SYSTEM_BUS_ADDRESS names.
//   bus_flood bare ACCOUNT                   answers as SERVICE would, from memory, as org.credsync.Bench.Bare
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>
#include <vector>

#include "tests/bench/bare_bus.h"
#include "tests/integration/bus_wire.h"
#include "tests/integration/wire.h"

namespace {

using Steady = std::chrono::steady_clock;
using bus_wire::Bytes;
using bus_wire::Call;

// A system bus lets a user have 256 connections (max_connections_per_user); some stay for what a person does meanwhile.
constexpr std::size_t kConnections = 240;
constexpr std::size_t kWrongMessages = 2000;
constexpr std::size_t kCallsAtOnce = 50;
constexpr std::size_t kBytesOfOne = 16 * 1024;  // a message that is larger counts as several
constexpr std::size_t kPassed = 4;              // descriptors with a message
constexpr unsigned kSeed = 20261126;

volatile sig_atomic_t told_to_end = 0;

// What one hostile connection does. Unread and subscribers never read a byte.
enum class Kind { kWrong, kFlood, kUnread, kSubscriber, kDescriptors, kChurn, kCount };

struct Hostile {
  Kind kind;
  int fd = -1;
  std::size_t turns = 0;
  std::string out{};  // what is still to be sent of a message that was begun
};

// Calls with arguments of any type and size, each a valid message: what is wrong with them only the service can tell.
class WrongCalls {
 public:
  explicit WrongCalls(std::string_view service) : service_(service) {}

  std::string next() {
    static constexpr std::string_view kMembers[] = {"GetAccessToken", "ListAccounts", "GetAccount",  "Refresh",
                                                    "Reject",         "BeginLogin",   "SignOut",     "Reload",
                                                    "WhoAmI",         "Subscribe",    "Unsubscribe", "Nonsense"};
    Call call{service_, bare_bus::kPath, service_, kMembers[below(std::size(kMembers))], "", {}};
    for (std::size_t left = below(4); left > 0; --left)
      value(call.signature, call.body, 0);
    return bus_wire::message(call, 2);
  }

 private:
  std::size_t below(std::size_t end) { return chance_() % end; }

  void value(std::string& signature, Bytes& body, unsigned depth) {
    constexpr unsigned kDeepest = 20;
    switch (below(depth < kDeepest ? 9 : 5)) {
      case 0: signature += 'u', body.number(static_cast<std::uint32_t>(chance_())); return;
      case 1: signature += 'x', body.number(static_cast<std::int64_t>(chance_())); return;
      case 2: signature += 'o', body.string("/a/b"); return;
      case 3: {
        static constexpr std::size_t kLengths[] = {0, 1, 64, 5000, 65536, 130'000};
        signature += 's', body.string(std::string(kLengths[below(std::size(kLengths))], 'x'));
        return;
      }
      case 4: {
        static constexpr std::size_t kLengths[] = {0, 7, 300, 70'000, 1'000'000};
        signature += "ay";
        const auto array = body.begin_array(1);
        body.raw(std::string(kLengths[below(std::size(kLengths))], '\7'));
        body.end_array(array);
        return;
      }
      case 5: signature += 's', body.string("theirs"); return;
      case 6: return dictionary(signature, body);
      default: {  // in a variant, in a variant, …
        signature += 'v';
        std::string inner;
        Bytes measured = body;
        chance_type inner_chance = chance_;
        value(inner, measured, depth + 1);  // to learn the signature, which comes first
        chance_ = inner_chance;
        body.signature(inner);
        inner.clear();
        value(inner, body, depth + 1);
      }
    }
  }

  void dictionary(std::string& signature, Bytes& body) {
    static constexpr std::string_view kKeys[] = {"min_valid", "wait", "", "method", "secret"};
    signature += "a{sv}";
    const auto array = body.begin_array(8);
    for (std::size_t left = below(5); left > 0; --left) {
      body.pad(8);
      body.string(kKeys[below(std::size(kKeys))]);
      body.signature("x");
      body.number(static_cast<std::int64_t>(chance_()));
    }
    body.end_array(array);
  }

  using chance_type = std::minstd_rand;
  const std::string service_;
  chance_type chance_{kSeed};
};

class Attack {
 public:
  Attack(std::string socket, const std::string& service, double rate)
      : rate_(rate),
        socket_(std::move(socket)),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        greeting_(bus_wire::greeting()) {
    Call token{service, bare_bus::kPath, service, "GetAccessToken", "sa{sv}", {}};
    token.body.string("theirs");
    token.body.end_array(token.body.begin_array(8));
    one_ = bus_wire::message(token, 2);
    for (std::size_t i = 0; i < kCallsAtOnce; ++i)
      flood_ += one_;
    subscribe_ = bus_wire::message({service, bare_bus::kPath, service, "Subscribe", "", {}}, 2);
    Call descriptors{service, bare_bus::kPath, service, "GetAccessToken", std::string(kPassed, 'h'), {}, kPassed};
    for (std::uint32_t i = 0; i < kPassed; ++i)
      descriptors.body.number(i);
    with_descriptors_ = bus_wire::message(descriptors, 2);
    WrongCalls wrong(service);
    while (wrong_.size() < kWrongMessages)
      wrong_.push_back(wrong.next());
    for (std::size_t i = 0; i < kConnections; ++i)
      all_.push_back({static_cast<Kind>(i % static_cast<std::size_t>(Kind::kCount))});
  }

  void run() {
    std::size_t next = 0;
    const auto begun = Steady::now();
    while (told_to_end == 0) {
      const auto passed = std::chrono::duration<double>(Steady::now() - begun).count();
      if (rate_ != 0 && work_ > rate_ * passed) {
        ::usleep(500);
        continue;
      }
      for (int i = 0; i < 20; ++i)
        step(all_[next++ % all_.size()]);
      epoll_event events[64];
      const int count = ::epoll_wait(epoll_, events, 64, 0);
      for (int i = 0; i < count; ++i)
        step(*static_cast<Hostile*>(events[i].data.ptr));
    }
    std::printf("%zu %zu\n", messages_, connections_);
  }

 private:
  void open(Hostile& h) {
    h.fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_.c_str(), socket_.size() + 1);
    if (h.fd < 0 || ::connect(h.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return close(h);
    ++connections_;
    ++work_;
    h.turns = 0;
    h.out = greeting_;
    epoll_event event{};
    event.events = EPOLLOUT | EPOLLHUP | EPOLLET;
    event.data.ptr = &h;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, h.fd, &event);
  }
  void close(Hostile& h) {
    if (h.fd >= 0) ::close(h.fd);
    h.fd = -1;
    h.out.clear();
  }
  // True when nothing is left of what was begun.
  bool flush(Hostile& h) {
    while (h.fd >= 0 && !h.out.empty()) {
      const ssize_t sent = ::send(h.fd, h.out.data(), h.out.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        h.out.erase(0, static_cast<std::size_t>(sent));
      } else {
        if (errno != EAGAIN) close(h);
        return false;
      }
    }
    return h.fd >= 0;
  }
  // Each with a number of its own, for the broker refuses a second call of one that is not answered.
  void number(std::string& bytes, std::size_t count) {
    const std::size_t each = bytes.size() / count;
    for (std::size_t i = 0; i < count; ++i) {
      serial_ = std::max(2U, serial_ + 1);
      std::memcpy(bytes.data() + i * each + bus_wire::kSerialAt, &serial_, sizeof serial_);
    }
  }
  void say(Hostile& h, std::string bytes, std::size_t count = 1) {
    messages_ += count;
    work_ += static_cast<double>(count + bytes.size() / kBytesOfOne);
    number(bytes, count);
    h.out = std::move(bytes);
    flush(h);
  }
  void drain(Hostile& h) {
    char chunk[65536];
    const ssize_t got = ::recv(h.fd, chunk, sizeof chunk, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) close(h);
  }
  void say_with_descriptors(Hostile& h) {
    number(with_descriptors_, 1);
    const int fd = STDIN_FILENO;
    const int fds[kPassed] = {fd, fd, fd, fd};
    iovec data{with_descriptors_.data(), with_descriptors_.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fds);
    std::memcpy(CMSG_DATA(header), fds, sizeof fds);
    const ssize_t sent = ::sendmsg(h.fd, &message, MSG_NOSIGNAL);
    if (sent > 0) {
      ++messages_;
      ++work_;
      h.out = with_descriptors_.substr(static_cast<std::size_t>(sent));
    } else if (errno != EAGAIN) {
      close(h);
    }
  }
  void step(Hostile& h) {
    if (h.fd < 0) open(h);
    if (h.fd < 0) return;
    if (h.kind != Kind::kUnread && h.kind != Kind::kSubscriber) drain(h);
    if (h.fd < 0 || !flush(h)) return;
    ++h.turns;
    switch (h.kind) {
      case Kind::kWrong: return say(h, wrong_[next_wrong_++ % wrong_.size()]);
      case Kind::kFlood:
      case Kind::kUnread: return say(h, flood_, kCallsAtOnce);
      case Kind::kSubscriber:
        if (h.turns == 1) say(h, subscribe_);
        return;
      case Kind::kDescriptors: return say_with_descriptors(h);
      default:
        if (h.turns == 1)
          say(h, one_);
        else
          close(h);
    }
  }

  const double rate_;
  const std::string socket_;
  const int epoll_;
  const std::string greeting_;
  std::string one_, flood_, subscribe_, with_descriptors_;
  std::vector<std::string> wrong_;
  std::size_t next_wrong_ = 0, messages_ = 0, connections_ = 0;
  double work_ = 0;
  std::uint32_t serial_ = 1;  // that of Hello
  std::vector<Hostile> all_;
};

void measure(sd_bus* bus, const char* service, const char* account, int milliseconds) {
  std::vector<double> took;
  const auto end = Steady::now() + std::chrono::milliseconds(milliseconds);
  do {
    const auto begun = Steady::now();
    ::sd_bus_message_unref(bare_bus::get_access_token(bus, service, account));
    took.push_back(std::chrono::duration<double, std::micro>(Steady::now() - begun).count());
    ::usleep(500);  // a busy service, not a flood of its own
  } while (Steady::now() < end);
  std::sort(took.begin(), took.end());
  const auto at = [&](double share) {
    return took[static_cast<std::size_t>(share * static_cast<double>(took.size() - 1))];
  };
  std::printf("%.0f %.0f %.0f %zu\n", at(0.5), at(0.99), took.back(), took.size());
  std::fflush(stdout);
}

int measure_when_told(const char* service, const char* account) {
  sd_bus* bus = bare_bus::connect();
  std::puts("ready");
  std::fflush(stdout);
  int milliseconds = 0;
  while (std::scanf("%d", &milliseconds) == 1)
    measure(bus, service, account, milliseconds);
  ::sd_bus_flush_close_unref(bus);
  return 0;
}

int serve_bare(const char* account) {
  bare_bus::serve(bare_bus::recorded(account), [] {
    std::puts("ready");
    std::fflush(stdout);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (argc == 5 && what == "attack") {
    ::signal(SIGTERM, [](int) { told_to_end = 1; });
    Attack(argv[2], argv[3], std::atof(argv[4])).run();
    return 0;
  }
  if (argc == 4 && what == "measure") return measure_when_told(argv[2], argv[3]);
  if (argc == 3 && what == "bare") return serve_bare(argv[2]);
  return 2;
}
