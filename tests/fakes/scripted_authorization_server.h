// An authorization server whose answers the test gives by hand, or that says at once who has signed in.
#pragma once

#include <deque>
#include <string>

#include "daemon/oauth/authorization_server.h"

namespace credsync::fakes {

class ScriptedAuthorizationServer final : public oauth::AuthorizationServer {
 public:
  template <typename Call, typename Answer>
  struct Asked {
    Call call;
    UniqueFunction<void(Answer)> done;
  };
  using AuthorizeOutcome = std::variant<oauth::AuthorizeAnswer, oauth::Failure>;
  using DeviceOutcome = std::variant<oauth::DeviceAnswer, oauth::Failure>;

  void authorize(oauth::AuthorizeCall call, UniqueFunction<void(AuthorizeOutcome)> done) override {
    authorizing.push_back({std::move(call), std::move(done)});
  }
  void start_device(std::shared_ptr<const config::Account> account, UniqueFunction<void(DeviceOutcome)> done) override {
    starting.push_back({std::move(account), std::move(done)});
  }
  void identify(oauth::IdentifyCall call, UniqueFunction<void(oauth::Identified)> done) override {
    ++identified;
    nonce_seen = std::string(call.nonce.expose());
    if (holds) return identifying.push_back({std::move(call), std::move(done)});
    done(identity_of(std::move(call)));
  }

  // The oldest question gets its answer.
  void answer_authorize(AuthorizeOutcome outcome) { take(authorizing).done(std::move(outcome)); }
  void answer_device(DeviceOutcome outcome) { take(starting).done(std::move(outcome)); }
  void answer_identify() {
    auto asked = take(identifying);
    asked.done(identity_of(std::move(asked.call)));
  }

  std::deque<Asked<oauth::AuthorizeCall, AuthorizeOutcome>> authorizing;
  std::deque<Asked<std::shared_ptr<const config::Account>, DeviceOutcome>> starting;
  std::deque<Asked<oauth::IdentifyCall, oauth::Identified>> identifying;
  // What identify() says.
  std::string subject = "alice", display = "alice@example.org";
  std::optional<oauth::Failure> disbelief;
  bool holds = false;
  unsigned identified = 0;
  std::string nonce_seen;

 private:
  oauth::Identified identity_of(oauth::IdentifyCall call) const {
    oauth::Identified who{std::move(call.tokens), display, disbelief};
    who.tokens.subject = subject;
    return who;
  }
  template <typename Queue>
  static typename Queue::value_type take(Queue& queue) {
    auto first = std::move(queue.front());
    queue.pop_front();
    return first;
  }
};

}  // namespace credsync::fakes
