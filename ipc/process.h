// A local process that asks, held by a pidfd so that its id cannot come to mean another process. What it says of itself
// in /proc is read first and believed only if the held process was still there afterwards: pin, read, verify. An Error
// says in plain words why nothing is established; whoever decides takes that as "matches no rule".
//
// Loop only. Shared by the connection and by the calls that decide on it later.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace credsync::ipc {

class Process {
 public:
  virtual ~Process() = default;
  // The system unit it runs in (score-sync.service). Read once: only root moves a process between units.
  virtual Result<std::string> unit() const = 0;
  // The unit as it was read, without a look whether the process is still there; "" if it has none. Not for decisions.
  virtual std::optional<std::string_view> unit_seen() const = 0;
  // Its executable now: exec(2) changes it, so it is read for each decision.
  virtual Result<std::string> exe() const = 0;
  virtual bool alive() const = 0;
  // The socket that the kernel keeps its record on is about to be closed.
  virtual void socket_closed() const {}
};

// A process that cannot be told: everything that is asked of it is answered with `why`.
std::shared_ptr<const Process> unknown_process(std::string why);

// As /proc/PID/status has them.
struct Credentials {
  uid_t real = 0, effective = 0, saved = 0;
  gid_t gid = 0;  // effective
  std::vector<gid_t> groups;
  bool has(uid_t uid) const { return uid == real || uid == effective || uid == saved; }
};

class PinnedProcess final : public Process {
 public:
  // The process with this id now. Guarded by its start: what is held is what /proc showed before and after. With `uid`
  // also that it is still a process of that user, for an id that was learnt a moment ago.
  static Result<std::shared_ptr<const PinnedProcess>> open(pid_t pid, std::optional<uid_t> uid);
  // The process of a pidfd that somebody trusted handed over (ProcessFD of a bus broker).
  static Result<std::shared_ptr<const PinnedProcess>> adopt(Descriptor pidfd);
  // The peer of a connected Unix socket, whose SO_PEERCRED said `pid` and `uid`. Where the kernel holds the peer itself
  // (SO_PEERPIDFD, Linux 6.5) the pidfd is only fetched when it is needed; else it is opened now. Never fails: then
  // nothing is established. The socket must stay open until socket_closed() is called.
  static std::shared_ptr<const PinnedProcess> of_peer(int socket, pid_t pid, uid_t uid);
  void socket_closed() const override { socket_ = -1; }

  pid_t pid() const { return pid_; }
  bool alive() const override;
  Result<std::string> unit() const override;
  std::optional<std::string_view> unit_seen() const override;
  Result<std::string> exe() const override;
  Result<Credentials> credentials() const;

 private:
  explicit PinnedProcess(pid_t pid) : pid_(pid) {}
  Result<void> pin() const;        // holds it, if it is not held yet
  Result<void> check_pin() const;  // that /proc means the held process by this id, and that the user fits
  Result<void> still_there() const;
  std::string path(const char* leaf) const;

  const pid_t pid_;
  std::optional<uid_t> uid_;  // must be one of its users when it is pinned; no longer looked at then
  mutable int socket_ = -1;   // its kernel record can still be asked
  mutable Descriptor pidfd_;
  mutable std::optional<Error> failed_;  // why it could not be held; stays so
  mutable bool checked_ = false;
  mutable std::optional<Result<std::string>> unit_;  // what its control group said
};

}  // namespace credsync::ipc
