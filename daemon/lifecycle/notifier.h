// Tells the service manager how we do (sd_notify(3)). Does nothing where no manager listens. What a manager waits for is
// told even if that takes a moment (kPatience); what is only good to know is left out when the manager does not take it at
// once, so that a stuck manager never holds callers. Loop only.
#pragma once

#include <string>
#include <string_view>

#include "base/file.h"
#include "base/time.h"

namespace credsync::lifecycle {

// How long a change of state waits for a manager that is behind with its messages.
inline constexpr Duration kNotifyPatience = 1s;

class Notifier {
 public:
  // `address` as in NOTIFY_SOCKET: an absolute path, or @ and an abstract name; anything else: nobody listens.
  explicit Notifier(std::string address);

  bool heard() const { return static_cast<bool>(socket_); }

  void ready(std::string_view status);
  // With the time by CLOCK_MONOTONIC, which Type=notify-reload compares with its own.
  void reloading();
  void stopping();
  // The start or stop under way may take so long from now on.
  void extend(Duration span);
  // Why it does not start: the last word.
  void failed(std::string_view why);
  // One line for people (`systemctl status`). False: not taken, may be tried again later.
  bool status(std::string_view line);
  void alive();

 private:
  bool send(const std::string& text, bool may_wait);

  const std::string address_;
  Descriptor socket_;
};

}  // namespace credsync::lifecycle
