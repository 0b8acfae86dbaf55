// One exchange with a token endpoint, from the queue at its gate to the answer: (1) wait for the endpoint's window and
// rate, (2) if the grant rotates, make the intent durable and reserve room for the answer, (3) send, (4) report. It
// decides nothing about accounts. Lives on the loop.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "base/agenda.h"
#include "daemon/oauth/token_endpoint.h"
#include "daemon/refresh/limits.h"
#include "daemon/store/token_store.h"

namespace credsync::refresh {

struct ExchangeOrder {
  std::shared_ptr<const config::Account> account;
  oauth::GrantInput input;
  bool password_from_source = false;
  bool rotates = false;                      // a reserved slot and a new connection, please
  account::Generation generation = 0;        // whose refresh token is sent, for the intent; 0: of no grant in use
  std::optional<store::SlotId> resend_slot;  // the intent is there already: count the resend durably, then send
  // Not after this, however long the gate or the disk takes: the provider may have stopped taking it.
  std::optional<BootTime> send_before;
  WallTime urgency = kWallMax;  // when the account's present token ends, or is missed; earlier goes first
};

// How far the wall clock is ahead of the boot clock. It changes when somebody sets the wall clock.
inline Duration wall_over_boot(const Clock& clock) {
  return clock.wall().time_since_epoch() - clock.boot().time_since_epoch();
}

struct Exchanged {
  oauth::TokenOutcome outcome;
  Secret order;                       // what revoking the new tokens needs
  std::optional<store::SlotId> slot;  // reserved for the answer; the receiver installs or drops it
  std::optional<Duration>
      clock_offset;  // wall over boot clock when it was sent: shows whether the wall clock was set since
  WallTime sent_at;  // by the wall clock then; 1970: it was not
};

class Exchanger {
 public:
  // workers: how many exchanges can be under way at once. Endpoints that did not answer when they were last asked, or never
  // were, share half of them: however many of them hang, those that answer are reached.
  Exchanger(oauth::TokenEndpoint& endpoint, store::TokenStore& store, Agenda& agenda, const Clock& clock,
            unsigned workers = 32);
  ~Exchanger();

  // `done` is called once, later. The number is for renumber().
  std::uint64_t run(ExchangeOrder order, UniqueFunction<void(Exchanged)> done);
  // The grant came back from parking under another number: an intent that is yet to be written is of that one.
  void renumber(std::uint64_t exchange, account::Generation generation);

  // What has not been sent ends now, as not sent; what has been sent is waited for.
  void stop();
  // Exchanges that were sent and have no answer yet, or wait in a queue.
  std::size_t under_way() const { return running_.size(); }
  // "https://host:port client_id": the key of a gate, for metrics.
  struct GateView {
    std::size_t waiting;
    unsigned running, window;
    bool paused;
  };
  std::map<std::string, GateView> gates() const;

 private:
  struct Running;
  struct Gate;

  Gate& gate_of(const config::Account& account);
  void pump(Gate& gate);
  void wake_unproven();
  void left(Running& running, EndpointGate::Outcome outcome);
  void enter(std::uint64_t id);
  void reserve(std::uint64_t id);
  bool too_late(const Running& running) const;
  void count_resend(std::uint64_t id);
  void wait_for_slot(std::uint64_t id, void (Exchanger::*again)(std::uint64_t));
  void send(std::uint64_t id);
  void answered(std::uint64_t id, oauth::CallResult result);
  void not_sent(std::uint64_t id, const Error& error);
  void finish(std::uint64_t id, Exchanged exchanged);

  oauth::TokenEndpoint& endpoint_;
  store::TokenStore& store_;
  Agenda& agenda_;
  const Clock& clock_;
  const unsigned most_unproven_;
  unsigned unproven_ = 0;             // exchanges under way with endpoints that had proven nothing when they began
  std::deque<Gate*> unproven_queue_;  // gates that wait for one of those to end
  std::map<std::string, std::unique_ptr<Gate>, std::less<>> gates_;
  std::map<std::uint64_t, std::unique_ptr<Running>> running_;
  std::uint64_t next_id_ = 1;
  bool stopped_ = false;
};

}  // namespace credsync::refresh
