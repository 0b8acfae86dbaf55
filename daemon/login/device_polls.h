// Asks the token endpoint whether a person has entered a device code (RFC 8628, 3.4 and 3.5): at the provider's interval,
// slower when told so (for good) or when it does not answer, until the code's own end. Loop only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <variant>

#include "base/agenda.h"
#include "daemon/login/completion.h"

namespace credsync::login {

class DevicePolls {
 public:
  using Number = std::uint64_t;
  using Outcome = std::variant<NewGrant, NotCompleted>;

  DevicePolls(refresh::Exchanger& exchanger, refresh::Installer& installer, Completion& completion, Agenda& agenda,
              const Clock& clock);
  ~DevicePolls();

  // `done` is called once, later: when nothing of it is under way any more.
  Number begin(std::shared_ptr<const config::Account> account, oauth::DeviceAnswer device,
               UniqueFunction<void(Outcome)> done);
  // Nobody wants it any more; tokens that a question under way still brings are retired, and `done` hears of no grant. It may
  // be called before this returns.
  void abandon(Number number);
  std::size_t under_way() const { return polls_.size(); }

 private:
  struct Poll;
  void ask(Number number);
  void answered(Number number, refresh::Exchanged exchanged);
  void again(Poll& poll, const oauth::Failure& failure);
  void finish(Number number, Outcome outcome);

  refresh::Exchanger& exchanger_;
  refresh::Installer& installer_;
  Completion& completion_;
  Agenda& agenda_;
  const Clock& clock_;
  std::map<Number, std::unique_ptr<Poll>> polls_;
  Number next_ = 1;
};

}  // namespace credsync::login
