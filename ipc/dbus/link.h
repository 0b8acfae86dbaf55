// One connection to the bus and what hangs on it: who has called, what they wait for, who gets signals. It ends with the
// connection; the next one begins with nothing known. Loop only.
//
// A request goes this way: taken from the bus -> its sender's credentials are known, or it waits for them -> the limits
// of its user -> polkit, for administration -> the service -> the answer. Whatever happens, it is answered within
// kAnswerWithin, unless its sender leaves.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/loop.h"
#include "ipc/dbus/bus.h"
#include "ipc/dbus/limits.h"
#include "ipc/dbus/names.h"
#include "ipc/dbus/senders.h"
#include "ipc/service.h"

namespace credsync::ipc::dbus {

struct Request {
  std::uint64_t number;
  Call call;
  Method method;
  BootTime arrived;
  Sender* sender;
  Caller caller;                     // of this one request
  std::unique_ptr<Pending> pending;  // our part in what the service does for it
  bool waits = false;                // counted with its user's waiting requests
  std::string behind{};              // of a list: the next part comes behind this name; empty: it is the first
};

struct Surroundings {
  Loop& loop;
  const Clock& clock;
  Service& service;
  Users& users;
  const Limits& limits;
  bool has_polkit = false;  // the system bus: polkit is asked, where there is one
};

class Link {
 public:
  struct Handlers {
    std::function<void(bool)> on_name;
    std::function<void(const Bus::Failure&)> on_refused_name;
    std::function<void(const std::string&)> on_lost;
    std::function<void(bool)> on_sleep;
  };
  Link(std::unique_ptr<Bus> bus, const Surroundings& around);
  ~Link();

  Result<void> open(Handlers handlers);

  // Everybody who waits is told `unavailable`, and so is whoever still comes.
  void stop();
  bool unsent() const { return bus_->unsent(); }
  void abandon() { bus_->abandon(); }

  std::size_t waiting() const { return requests_.size(); }
  std::size_t senders() const { return senders_.size(); }

 private:
  // The lists of one user that are not whole yet. Only the front one is in the making, for each may grow to kMaxBody.
  struct Lists {
    const Use* user;
    std::deque<Request*> requests;  // never empty
  };

  void take(Call call);
  void known(Sender& sender, bool is_known);
  void gone(const std::string& name);
  void start(Request& request);
  void perform(Request& request);
  void after_polkit(Request& request);

  // link_calls.cc: the methods.
  void get_access_token(Request& request);
  void list_accounts(Request& request);
  bool list_part(Request& request);
  void list_on();
  std::list<Lists>::iterator lists_of(const Request& request);
  void leave_lists(const Request& request);
  void get_account(Request& request);
  void refresh(Request& request);
  void reject(Request& request);
  void begin_login(Request& request);
  void wait_login(Request& request);
  void answer_login(Request& request);
  void cancel_login(Request& request);
  void sign_out(Request& request);
  void who_am_i(Request& request);
  void reload(Request& request);
  void subscribe(Request& request);
  void unsubscribe(Request& request);
  template <typename T, typename Start, typename Give>
  void ask(Request& request, bool changes, Start start, Give give);
  std::optional<std::string> read_account(Request& request);
  void send_event(const std::string& destination, const Event& event);

  // Each of these ends the request. They may be called from its `pending`, which goes later for that; who ends it from
  // elsewhere lets that go first, so that nothing more is done for it.
  void answer(Request& request, const std::function<void(Writer&)>& write);
  void answer_nothing(Request& request) {
    answer(request, [](Writer&) {});
  }
  void refuse(Request& request, const Problem& problem);
  void refuse_arguments(Request& request, const std::string& words);
  void refuse_as_busy(Request& request, const std::string& words);
  void finish(Request& request);
  void forget(Request& request);        // gives back what it holds of its user's limits
  Request* find(std::uint64_t number);  // null: its sender has left, or it was answered

  bool may_wait(const Request& request) const;
  void begin_waiting(Request& request);
  Duration time_left(const Request& request) const;
  void arm();
  void time_is_up();

  const Surroundings around_;
  std::unique_ptr<Bus> bus_;  // goes last: calls and credentials belong to it
  Senders senders_;
  std::map<std::uint64_t, Request> requests_;        // by number: in the order of arrival, which is that of deadlines
  std::vector<std::unique_ptr<Pending>> discarded_;  // they may be what is calling us
  std::unique_ptr<Loop::Timer> deadline_;
  std::unique_ptr<Loop::Timer> sweeper_;
  std::unique_ptr<Loop::Timer> lister_;
  std::list<Lists> lists_;  // whose turn is next is in front
  std::uint64_t last_number_ = 0;
  bool armed_ = false;
  bool part_made_ = false;  // of a list, in this turn; the lister is set
  bool stopping_ = false;
  bool subscribing_ = false;  // the present states are not signals
};

}  // namespace credsync::ipc::dbus
