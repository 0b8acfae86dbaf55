// What the files of Refresher share: a refresh under way, and what is planned for an account. For them only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/refresh/refresher.h"

namespace credsync::refresh {

struct Refresher::Flight {
  bool is_of(const account::Account& account) const;

  std::uint64_t id = 0;
  std::uint64_t exchange = 0;
  std::shared_ptr<const config::Account> config;
  unsigned sign_in = 0;
  account::Generation generation = 0;  // of the account's tokens when it began; they may come back under another number
  Secret access_token;                 // of these: tells that they are back; empty: there were none
  bool rotates = false;
  bool resend = false;
  bool by_password = false;
  WallTime began;
  BootTime began_boot;
  account::UnknownOutcome before;              // of a resend: what was known when it began
  Secret refresh_token;                        // that was sent: carried over when the answer has none
  std::optional<WallTime> refresh_expires_at;  // of that one
  std::vector<std::string> scope;              // of the token it replaces
  Secret id_token;                             // that came with it, or before
  std::map<std::string, std::string> extra;    // fields kept from its answer and callback
  std::string subject;                         // whose that is
};

struct Refresher::Plan {
  Plan(Agenda& agenda, std::function<void()> on_due) : due(agenda, std::move(on_due)) {}
  Agenda::Entry due;
  std::optional<std::uint64_t> flight;
  // Of the next attempt, whatever happens meanwhile: Retry-After, or an outcome that is not known.
  std::optional<BootTime> at_the_earliest;
  // With that: nor before the present token is at its floor, as the clocks say then. They may be set meanwhile.
  bool until_floor = false;
  // It is planned for the overlap: if that is over by then, because the machine slept or was busy, the floor is waited for.
  bool within_overlap = false;
  std::map<std::uint64_t, UniqueFunction<void(const Ended&)>> waiting;
};

// A client was refused: its accounts are told, some in each turn.
struct Refresher::ClientPause {
  ClientPause(Agenda& agenda, std::function<void()> go_on) : next(agenda, std::move(go_on)) {}
  std::shared_ptr<const config::Account> client;  // of whose account it was refused
  oauth::Failure failure;
  BootTime not_before;
  std::string behind;  // the next of them come behind this name
  Agenda::Entry next;
};

}  // namespace credsync::refresh
