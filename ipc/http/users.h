// What each user holds of the front door right now. An entry lives as long as one of its user's connections.
// Loop only.
#pragma once

#include <sys/types.h>

#include <unordered_map>

namespace credsync::ipc::http {

struct Use {
  uid_t uid = 0;
  unsigned connections = 0;
  unsigned waiting = 0;
  unsigned streams = 0;
  unsigned refused = 0;  // connections that are only told "busy" and drained

  bool nothing() const { return connections == 0 && refused == 0; }
};

class Users {
 public:
  // Stays where it is until forget_if_gone().
  Use& of(uid_t uid) {
    Use& use = uses_[uid];
    use.uid = uid;
    return use;
  }
  // To be called when a connection has given back its count.
  void forget_if_gone(const Use& use) {
    if (use.nothing()) uses_.erase(use.uid);
  }
  void add_to(std::size_t& users, std::size_t& waiting, std::size_t& streams) const {
    users += uses_.size();
    for (const auto& [uid, use] : uses_)
      waiting += use.waiting, streams += use.streams;
  }

 private:
  std::unordered_map<uid_t, Use> uses_;
};

}  // namespace credsync::ipc::http
