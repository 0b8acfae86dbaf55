// The terminal while a sign-in waits: what is typed is not shown, and comes byte by byte (a line that the terminal edits ends
// at 4,095 bytes, which is less than some addresses). Taken only while this process is in the foreground, so that a job in
// the background is neither stopped nor disturbs the shell. The settings come back when it is released.
#pragma once

#include <termios.h>

#include <string_view>

namespace credsync::cli {

class HiddenTerminal {
 public:
  // `brackets`: ask the terminal to mark where a paste begins and ends.
  explicit HiddenTerminal(bool brackets);
  ~HiddenTerminal();
  HiddenTerminal(const HiddenTerminal&) = delete;
  HiddenTerminal& operator=(const HiddenTerminal&) = delete;

  // There is a controlling terminal.
  bool exists() const { return fd_ >= 0; }
  bool held() const { return held_; }
  // To poll for reading; -1 unless held.
  int fd() const { return held_ ? fd_ : -1; }
  // Takes it if it can be had now and is not held; call again when the foreground may have changed.
  void acquire();
  void release();
  // What is there, in `bytes`; never blocks. 0: nothing. Negative: the terminal went away, and is no longer held.
  long read(char* bytes, std::size_t size);

 private:
  void say(std::string_view sequence) const;

  const bool brackets_;
  int fd_ = -1;
  bool held_ = false;
  termios before_{};
};

}  // namespace credsync::cli
