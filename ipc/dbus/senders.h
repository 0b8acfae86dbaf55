// Who is behind a unique name. The broker is asked once for each (GetConnectionCredentials), without waiting on the loop,
// and its word is kept until the name leaves; unique names are never given twice while a bus lives. What the broker does
// not say stays empty and matches no rule; without a ProcessFD that is the unit and the executable, and the ProcessID is for
// the audit only. Loop only; belongs to one connection.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ipc/dbus/bus.h"
#include "ipc/dbus/users.h"
#include "ipc/service.h"

namespace credsync::ipc::dbus {

struct Request;

struct Sender {
  std::string name;
  bool known = false;
  Caller caller;       // once known
  Use* use = nullptr;  // once known
  std::unique_ptr<Pending> subscription;
  unsigned requests = 0;          // under way
  std::vector<Request*> unknown;  // those that wait until it is known
  std::list<std::string>::iterator age;
};

class Senders {
 public:
  // `known` is called when a name's credentials have come; with `false` when they cannot be had: that name is nobody.
  Senders(Bus& bus, Users& users, std::function<void(Sender&, bool)> known);
  ~Senders();

  // Asks the broker when it is new. Null: too many are known, and none of them can be forgotten.
  Sender* of(const std::string& name);
  Sender* find(const std::string& name);
  void forget(const std::string& name);
  std::size_t size() const { return senders_.size(); }

 private:
  void ask(Sender& sender);
  void learned(const std::string& name, Reader* body);
  bool make_room();

  Bus& bus_;
  Users& users_;
  std::function<void(Sender&, bool)> known_;
  std::unordered_map<std::string, std::unique_ptr<Sender>> senders_;
  std::list<std::string> ages_;  // the longest unused first
};

// What GetConnectionCredentials says, as a Caller; nothing without a user. Pure but for what the process's descriptor leads to.
std::optional<Caller> read_credentials(Reader& body);

}  // namespace credsync::ipc::dbus
