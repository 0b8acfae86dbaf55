// A reload of the configuration. Its files are read on a thread of its own, for those of 10,000 accounts take half a second and a
// folder may hang; what they say takes force on the loop, or is refused whole. Who asks while they are read is served by the
// next reading: the file that was changed may have been read before. Loop only.
#pragma once

#include <functional>
#include <vector>

#include "base/loop.h"
#include "base/worker_pool.h"
#include "daemon/config/config.h"
#include "ipc/service.h"

namespace credsync {

class Reload {
 public:
  using Reply = ipc::Reply<ipc::ReloadAnswer>;
  struct Steps {
    std::function<void()> begins;                                // before each reading
    std::function<config::Loaded()> read;                        // on the thread; may block
    std::function<ipc::ReloadAnswer(config::Loaded)> take_over;  // what is usable
    std::function<void()> ends;                                  // after each, whatever came of it
  };
  // The destructor waits for a reading under way, however long that hangs; see reading().
  Reload(Steps steps, Executor& loop) : steps_(std::move(steps)), loop_(loop) {}

  // The reply comes once, later; never, if the daemon ends before.
  void order(Reply reply);
  // Nothing takes force any more, and who waits is told so.
  void stop();
  // Also after stop(): nobody can end what a folder keeps hanging.
  bool reading() const { return reading_; }
  // The files as they were read last are wrong; what is in force is older.
  bool refused() const { return refused_; }

 private:
  using Outcome = ipc::Answer<ipc::ReloadAnswer>;
  void read();
  Outcome outcome_of(config::Loaded loaded);
  void was_read(config::Loaded loaded);

  const Steps steps_;
  Executor& loop_;
  std::vector<Reply> served_, waiting_;  // by the reading under way; for the next
  bool reading_ = false;
  bool refused_ = false;
  bool stopped_ = false;
  WorkerPool thread_{1};
};

}  // namespace credsync
