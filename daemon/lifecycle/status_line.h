// The line that `systemctl status` shows: how many accounts are how. It is sent when it has changed, at most every
// kBetweenLines, and nothing wakes up for it while nothing changes. Loop only.
#pragma once

#include <functional>
#include <string>

#include "base/agenda.h"
#include "base/time.h"
#include "daemon/account/accounts.h"
#include "daemon/lifecycle/notifier.h"

namespace credsync::lifecycle {

inline constexpr Duration kBetweenLines = 2s;

// "120 accounts: 117 ok, 2 need a login, 1 retrying; 3 refreshes under way". Kinds of which there are none are left out.
std::string account_words(const account::Accounts& accounts, std::size_t refreshes_under_way);

class StatusLine {
 public:
  StatusLine(Notifier& notifier, Agenda& agenda, const Clock& clock, std::function<std::string()> line);

  // What the line says may have changed.
  void changed();
  // The line now, for a message that carries it anyway.
  std::string take();
  // From now on the manager is told otherwise.
  void stop();

 private:
  void send();

  Notifier& notifier_;
  const Clock& clock_;
  const std::function<std::string()> line_;
  std::string sent_;
  BootTime next_{};  // not before
  bool stopped_ = false;
  Agenda::Entry due_;
};

}  // namespace credsync::lifecycle
