// What each user holds of the front door right now. An entry lives as long as one of its user's connections, and after
// that until the user may ask as much again as somebody new. Loop only.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "base/time.h"

namespace credsync::ipc::http {

// What one user gets done in one turn, over all its connections, before others have theirs: that long it can make another
// wait. Counted in requests; reading from a connection counts as one too, taking or refusing a new connection as four.
inline constexpr unsigned kShareAmongMany = 8;
// While nobody else has a connection: a read and a request for each of the 64 events of a turn, and as much again for
// pipelines. With less, the connections that are last in the kernel's list would wait behind those that are first again.
inline constexpr unsigned kShareAlone = 256;
inline constexpr unsigned kConnectionCost = 4;

struct Use {
  uid_t uid = 0;
  unsigned connections = 0;
  unsigned waiting = 0;
  unsigned streams = 0;
  unsigned refused = 0;  // connections that are only told "busy" and drained

  bool nothing() const { return connections == 0 && refused == 0; }

  // Whether this user has not had its share of the turn with that number.
  bool has_turn(std::uint64_t now, unsigned share) const { return turn != now || in_turn < share; }
  void spend(std::uint64_t now, unsigned cost) {
    if (turn != now) turn = now, in_turn = 0;
    in_turn += cost;
  }
  // Takes one of `per_second` requests, if there is one left; 0: there always is.
  bool take(BootTime now, unsigned per_second) {
    if (per_second == 0) return true;
    left = left_at(now, per_second);
    refilled = now;
    if (left < 1) return false;
    left -= 1;
    return true;
  }
  bool has_rested(BootTime now, unsigned per_second) const { return left_at(now, per_second) >= per_second; }

 private:
  double left_at(BootTime now, unsigned per_second) const {
    if (refilled == BootTime{}) return per_second;
    return std::min<double>(per_second, left + std::chrono::duration<double>(now - refilled).count() * per_second);
  }
  std::uint64_t turn = 0;
  unsigned in_turn = 0;
  double left = 0;  // requests; a token bucket
  BootTime refilled{};
};

// Entries kept of users who have gone, so that a new connection does not bring them new requests.
inline constexpr std::size_t kUsersKept = 1024;

class Users {
 public:
  // Stays where it is until forget_if_gone().
  Use& of(uid_t uid) {
    Use& use = uses_[uid];
    use.uid = uid;
    return use;
  }
  // To be called before a connection is counted.
  void comes(const Use& use) { present_ += use.nothing() ? 1U : 0U; }
  // Users that have a connection.
  std::size_t present() const { return present_; }
  // To be called when a connection has given back its count, or was not taken.
  void leaves(const Use& use) { present_ -= use.nothing() ? 1U : 0U; }
  void forget_if_gone(Use& use, BootTime now, unsigned per_second) {
    if (use.nothing() && use.has_rested(now, per_second)) uses_.erase(use.uid);
    if (uses_.size() <= kUsersKept) return;
    std::erase_if(uses_, [&](const auto& u) { return u.second.nothing() && u.second.has_rested(now, per_second); });
  }
  void add_to(std::size_t& users, std::size_t& waiting, std::size_t& streams) const {
    for (const auto& [uid, use] : uses_) {
      users += use.nothing() ? 0U : 1U;
      waiting += use.waiting, streams += use.streams;
    }
  }

 private:
  std::unordered_map<uid_t, Use> uses_;
  std::size_t present_ = 0;
};

}  // namespace credsync::ipc::http
