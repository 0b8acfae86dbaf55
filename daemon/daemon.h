// The whole daemon: assembles the parts in the order of a token's road, runs them, reloads and drains. The only place
// that sees all of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/config/config.h"
#include "daemon/lifecycle/handover.h"

namespace credsync {

// Exit statuses, as sysexits(3) and systemd.exec(5) have them.
constexpr int kExitFailure = 1;  // may pass: disk full, socket taken
constexpr int kExitUsage = 2;
constexpr int kExitConfig = 78;  // EX_CONFIG: a person must mend something; systemd does not restart

struct StartFailure {
  int status = kExitFailure;
  std::vector<std::string> lines;
};

class Daemon {
 public:
  // `cache_dir` has the second count of the database's changes (docs/decisions/022); empty: none is kept.
  Daemon(config::Paths paths, lifecycle::Handover handover, std::string cache_dir);
  ~Daemon();

  // Everything up to the point where tokens can be handed out.
  std::unique_ptr<StartFailure> start();
  // Until SIGTERM or SIGINT; returns the exit status.
  int run();

 private:
  struct Parts;
  std::unique_ptr<StartFailure> begin();
  std::unique_ptr<Parts> parts_;
};

}  // namespace credsync
