#include "ipc/http/hub.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "base/mutation.h"
#include "ipc/http/connection.h"
#include "ipc/http/door.h"
#include "ipc/peer.h"

namespace credsync::ipc::http {
namespace {

constexpr int kEventsPerTurn = 64;  // then the loop's other sources have their turn
constexpr std::size_t kPostponedPerTurn = 64;
constexpr std::size_t kReadersKept = 64;  // as many as a turn can use
constexpr std::size_t kBufferKept = 1024 * 1024;
// Refused connections that are told why; beyond them a user's connections are closed without a word.
constexpr unsigned kRefusedPerUser = 8;
// Connections that are asked to go for a new one.
constexpr unsigned kTriesForRoom = 4;
// Descriptors that connections leave to the rest of the process: workers' sockets, the store, the journal,
// timers.
constexpr rlim_t kDescriptorsForOthers = 256;

unsigned descriptors_for_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 1U << 20;
  const rlim_t spare =
      limit.rlim_cur > 2 * kDescriptorsForOthers ? limit.rlim_cur - kDescriptorsForOthers : limit.rlim_cur / 2;
  return static_cast<unsigned>(std::min<rlim_t>(spare, 1U << 20));
}

Problem too_many_connections() {
  return Problem{ProblemKind::kBusy, "too many connections of this user are open", {}, kBusyRetryAfter, {}};
}

Problem no_room() {
  return Problem{ProblemKind::kUnavailable, "too many connections are open", {}, kUnavailableRetryAfter, {}};
}

}  // namespace

Result<std::unique_ptr<Hub>> Hub::create(Loop& loop, const Clock& clock, Service& service, const Timing& timing) {
  std::unique_ptr<Hub> hub(new Hub(loop, clock, service, timing));
  CREDSYNC_TRY(hub->start());
  return hub;
}

Hub::Hub(Loop& loop, const Clock& clock, Service& service, const Timing& timing)
    : loop_(loop), clock_(clock), service_(service), timing_(timing), deadlines_(loop, [this] { on_due(); }) {}

Hub::~Hub() {
  deadlines_.clear(*this);
  connections_.clear();
  buried_.clear();
}

Result<void> Hub::start() {
  epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return from_errno("create an epoll set", errno);
  bell_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell_) return from_errno("create an eventfd", errno);
  epoll_event ring{};
  ring.events = EPOLLIN;
  ring.data.ptr = nullptr;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, bell_.get(), &ring) != 0) return from_errno("watch an eventfd", errno);
  auto watch = loop_.watch(epoll_.get(), EPOLLIN, [this](std::uint32_t) { on_poll(); });
  if (!watch) return std::move(watch).error();
  watch_ = std::move(*watch);
  return {};
}

Result<void> Hub::add(ListeningSocket socket) {
  auto door = std::make_unique<Door>(*this, std::move(socket));
  if (!watch(door->get(), EPOLLIN, *door, false)) return from_errno("watch the listening socket", errno);
  doors_.push_back(std::move(door));
  return {};
}

void Hub::stop_listening() {
  for (auto& door : doors_) {
    // A socket of systemd's is open there, too: closing ours alone leaves it in the set, with a door that is gone.
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, door->get(), nullptr);
    door->close();
    closed_doors_.push_back(std::move(door));
  }
  doors_.clear();
  if (!in_turn_) closed_doors_.clear();
}

void Hub::set_limits(const Limits& limits) {
  limits_ = limits;
  limits_.max_connections = std::min(limits.max_connections, descriptors_for_connections());
}

Counts Hub::counts() const {
  Counts counts;
  counts.connections = connections_.size();
  users_.add_to(counts.users, counts.waiting, counts.streams);
  return counts;
}

bool Hub::watch(int descriptor, std::uint32_t events, Source& source, bool known) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &source;
  return ::epoll_ctl(epoll_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event) == 0;
}

std::unique_ptr<RequestReader> Hub::take_reader() {
  if (readers_.empty()) return std::make_unique<RequestReader>();
  auto reader = std::move(readers_.back());
  readers_.pop_back();
  return reader;
}

void Hub::give_back(std::unique_ptr<RequestReader> reader) {
  if (readers_.size() >= kReadersKept) return;
  reader->reset();
  readers_.push_back(std::move(reader));
}

// Turns.

void Hub::on_poll() {
  begin_turn();
  epoll_event events[kEventsPerTurn];
  const int count = ::epoll_wait(epoll_.get(), events, kEventsPerTurn, 0);
  // The kernel tells of what was left over in the order of before: each turn begins further on, so that a user's share
  // does not always go to the same connections.
  const std::uint64_t first = turn_ * (kShareAmongMany / 2);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[(first + static_cast<std::uint64_t>(i)) % static_cast<std::uint64_t>(count)];
    if (event.data.ptr != nullptr) {
      static_cast<Source*>(event.data.ptr)->on_ready(event.events);
      continue;
    }
    std::uint64_t rings = 0;
    [[maybe_unused]] const ssize_t got = ::read(bell_.get(), &rings, sizeof rings);
    rung_ = false;
  }
  if (std::exchange(waiters_to_tell_, false)) tell_waiters();
  if (stopping_ && !retired_) retire_all();
  run_postponed();
  end_turn();
}

void Hub::on_due() {
  begin_turn();
  deadlines_.run_due(now_);
  end_turn();
}

void Hub::begin_turn() {
  in_turn_ = true;
  ++turn_;
  long_answer_free_ = true;
  now_ = clock_.boot();
}

void Hub::end_turn() {
  deliver_marked();
  bury();
  if (!postponed_.empty()) wake();
  if (out_.capacity() > kBufferKept) out_.release();
  deadlines_.arm();
  in_turn_ = false;
  finish_stopping();
}

void Hub::wake() {
  if (std::exchange(rung_, true)) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t put = ::write(bell_.get(), &one, sizeof one);
}

void Hub::mark(Connection& connection) {
  if (std::exchange(connection.marked, true)) return;
  marked_.push_back(&connection);
  if (!in_turn_) wake();
}

void Hub::postpone(Connection& connection) {
  if (std::exchange(connection.postponed, true)) return;
  postponed_.push_back(&connection);
}

void Hub::run_postponed() {
  for (std::size_t left = std::min(postponed_.size(), kPostponedPerTurn); left != 0; --left) {
    Connection& connection = *postponed_.front();
    postponed_.pop_front();
    connection.postponed = false;
    connection.resume();
  }
}

void Hub::deliver_marked() {
  for (std::size_t i = 0; i < marked_.size(); ++i) {
    marked_[i]->marked = false;
    marked_[i]->deliver();
  }
  marked_.clear();
}

void Hub::bury() {
  std::exchange(discarded_, {}).clear();
  for (const auto& connection : buried_) {
    if (connection->postponed) std::erase(postponed_, connection.get());
  }
  buried_.clear();
  closed_doors_.clear();
}

void Hub::close(Connection& connection) {
  if (connection.closed()) return;
  connection.shut();
  std::swap(connections_[connection.index], connections_.back());
  connections_[connection.index]->index = connection.index;
  buried_.push_back(std::move(connections_.back()));
  connections_.pop_back();
}

// New connections.

bool Hub::admit(Descriptor socket) {
  const auto uid = peer_uid(socket.get());
  if (!uid) return log::warning("a peer cannot be identified", {{"ERROR", uid.error().message()}}), true;
  Use& use = users_.of(*uid);
  spend(use, kConnectionCost);
  const bool goes_on = has_turn(use);
  if (use.take(now_, limits_.max_requests_per_second)) {
    auto caller = peer_of(socket.get());
    if (caller) {
      take(std::move(socket), std::move(*caller));
    } else {
      log::warning("a peer cannot be identified", {{"ERROR", caller.error().message()}});
      gone(use);
    }
    return goes_on;
  }
  // Without a word, and without asking the kernel more: who connects in a flood does not read.
  Caller caller;
  caller.uid = *uid;
  service_.refused(caller, "too many requests a second");
  gone(use);
  return goes_on;
}

void Hub::take(Descriptor socket, Caller caller) {
  const bool over_limit =
      users_.of(caller.uid).connections >= limits_.max_connections_per_user && !mutated(Mutation::kNoCallerLimit);
  const bool taken = !over_limit && (connections_.size() < limits_.max_connections || make_room());
  if (!taken) service_.refused(caller, over_limit ? "too many connections" : "too many connections of all users");
  Use& use = users_.of(caller.uid);  // again: making room may have ended this user's last connection
  if (!taken && use.refused >= kRefusedPerUser) return gone(use);
  const auto admission = taken ? Connection::Admission::kTaken : Connection::Admission::kRefused;
  auto connection = std::make_unique<Connection>(*this, std::move(socket), std::move(caller), use, admission);
  connection->index = connections_.size();
  Connection& here = *connections_.emplace_back(std::move(connection));
  taken ? here.start() : here.refuse(over_limit ? too_many_connections() : no_room());
}

// Closes the connection that has been idle longest; if a request came from it in this moment, the next one. Rare, so it may
// look at all of them.
bool Hub::make_room() {
  for (unsigned tries = 0; tries < kTriesForRoom; ++tries) {
    Connection* oldest = nullptr;
    for (const auto& connection : connections_) {
      if (!connection->idle()) continue;
      if (oldest == nullptr || connection->last_active() < oldest->last_active()) oldest = connection.get();
    }
    if (oldest == nullptr) return false;
    oldest->leave();
    if (connections_.size() < limits_.max_connections) return true;
  }
  return false;
}

// Stopping.

void Hub::end_waiting() {
  waitless_ = waiters_to_tell_ = true;
  wake();
}

void Hub::tell_waiters() {
  for (std::size_t i = connections_.size(); i-- > 0;)
    connections_[i]->end_waiting_call();
}

void Hub::stop(Duration at_most, UniqueFunction<void()> done) {
  stopping_ = waitless_ = true;
  stopped_ = std::move(done);
  deadlines_.set(*this, clock_.boot() + at_most);
  if (!in_turn_) deadlines_.arm();
  wake();
}

void Hub::retire_all() {
  retired_ = true;
  for (const auto& door : doors_)
    door->take_last();
  stop_listening();
  for (std::size_t i = connections_.size(); i-- > 0;)
    connections_[i]->retire();
}

void Hub::on_deadline() {
  retired_ = true;
  stop_listening();
  while (!connections_.empty()) {
    connections_.back()->last_word();
    close(*connections_.back());
  }
}

void Hub::finish_stopping() {
  if (!retired_ || !connections_.empty() || !stopped_) return;
  deadlines_.clear(*this);
  deadlines_.arm();
  auto done = std::exchange(stopped_, {});
  done();
}

}  // namespace credsync::ipc::http
