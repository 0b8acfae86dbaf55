// Some signals, read from a descriptor instead of interrupting. They stay blocked in this process; a child must be started
// with a mask of its own.
#pragma once

#include <signal.h>

#include <initializer_list>
#include <optional>

namespace credsync::cli {

class Signals {
 public:
  explicit Signals(std::initializer_list<int> numbers);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // Readable when one has come.
  int fd() const { return fd_; }
  // The next that has come; never blocks.
  std::optional<int> next();

 private:
  int fd_ = -1;
};

// While this lives, the signals that end a process wait: for steps that belong together.
class HeldSignals {
 public:
  HeldSignals();
  ~HeldSignals();
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace credsync::cli
