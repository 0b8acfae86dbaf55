// The core with sign-in sessions: a scripted authorization server, doors without sockets, and people.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "daemon/login/sessions.h"
#include "tests/fakes/core_world.h"
#include "tests/fakes/fake_doors.h"

namespace credsync::fakes {

struct LoginWorld : CoreWorld {
  LoginWorld() {
    sessions.connect([this](const ipc::Caller&, const account::Account&) { return allowed; },
                     [this](const ipc::Caller&, const std::string& account, std::string_view how, const std::string&) {
                       ends.push_back(account + " " + std::string(how));
                     });
  }

  static ipc::Caller person(uid_t uid) {
    ipc::Caller caller;
    caller.uid = uid;
    return caller;
  }

  // What a caller was told, now or later.
  template <typename T>
  struct Told {
    std::optional<T> answer;
    std::optional<ipc::Problem> problem;
    std::unique_ptr<ipc::Pending> pending;
    bool anything() const { return answer || problem; }
  };
  using Session = std::unique_ptr<Told<ipc::LoginView>>;

  // Not inlined: g++ 12 would follow the variant and see an alternative that is not there.
  [[gnu::noinline]] static void keep(Told<ipc::LoginView>& told, ipc::Answer<ipc::LoginView>&& answer) {
    if (auto* problem = std::get_if<ipc::Problem>(&answer))
      told.problem = std::move(*problem);
    else
      told.answer = std::move(std::get<ipc::LoginView>(answer));
  }
  static ipc::Reply<ipc::LoginView> into(Told<ipc::LoginView>* told) {
    return [told](ipc::Answer<ipc::LoginView> answer) { keep(*told, std::move(answer)); };
  }
  // Not answered by the provider yet.
  Session ask_to_begin(const std::string& account, login::Way way, uid_t uid = 1000, ipc::LoginRequest request = {}) {
    auto told = std::make_unique<Told<ipc::LoginView>>();
    told->pending = sessions.begin(person(uid), *accounts.find(account), way, request, into(told.get()));
    return told;
  }
  Session begin(const std::string& account, uid_t uid = 1000, ipc::LoginRequest request = {}) {
    Session told = ask_to_begin(account, login::Way::kBrowser, uid, std::move(request));
    if (server.authorizing.empty()) return told;
    state = std::string(server.authorizing.front().call.secrets.state.expose());
    verifier = std::string(server.authorizing.front().call.secrets.verifier.expose());
    oauth::AuthorizeAnswer ready;
    ready.url = Secret("https://auth.example/authorize?state=" + state);
    ready.profile = accounts.find(account)->config().profile;
    ready.issuer = issuer;
    ready.iss_required = !issuer.empty();
    ready.expires_in = pushed_for;
    server.answer_authorize(std::move(ready));
    return told;
  }
  Session begin_device(const std::string& account, Duration life = 10min, Duration interval = 5s, uid_t uid = 1000) {
    Session told = ask_to_begin(account, login::Way::kDevice, uid);
    if (server.starting.empty()) return told;
    oauth::DeviceAnswer device;
    device.device_code = Secret("the device code");
    device.user_code = "ABCD-EFGH";
    device.verification_uri = "https://auth.example/device";
    device.verification_uri_complete = "https://auth.example/device?user_code=ABCD-EFGH";
    device.expires_in = life;
    device.interval = interval;
    server.answer_device(std::move(device));
    return told;
  }
  Session wait(const std::string& id, Duration at_most = 30s) {
    auto told = std::make_unique<Told<ipc::LoginView>>();
    told->pending = sessions.wait(id, at_most, into(told.get()));
    return told;
  }
  // The view now; the test fails by an exception where there is none.
  ipc::LoginView look(const std::string& id) { return wait(id, Duration::zero())->answer.value(); }

  std::string good_answer() const { return "code=the-code&state=" + state; }
  // The exchange under way brings these.
  void give_tokens(account::TokenSet tokens) {
    endpoint.answer(std::move(tokens), Secret("order"));
    settle();
  }
  void refuse_exchange(const std::string& code, oauth::FailureClass failure_class = oauth::FailureClass::kRefused) {
    oauth::Failure failure = make_failure(failure_class, "the provider says no");
    failure.code = code;
    endpoint.answer(std::move(failure));
    settle();
  }

  bool allowed = true;
  std::vector<std::string> ends;
  std::string state, verifier, issuer;
  std::optional<Duration> pushed_for;  // requests that are begun from now on are pushed ones
  FakeDoors doors;
  login::Completion completion{{accounts, endpoint, server, exchanger, installer, store, parking, retirer, clock}};
  login::DevicePolls polls{exchanger, installer, completion, agenda, clock};
  login::Sessions sessions{{accounts, server, completion, polls, doors, agenda, clock, random}};
};

}  // namespace credsync::fakes
