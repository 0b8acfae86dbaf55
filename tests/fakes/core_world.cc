#include "tests/fakes/core_world.h"

#include "base/check.h"
#include "daemon/config/fingerprint.h"

namespace credsync::fakes {

std::shared_ptr<provider::Profile> make_profile() {
  auto profile = std::make_shared<provider::Profile>();
  profile->id = "example";
  profile->endpoints.token.url = "https://auth.example/token";
  profile->endpoints.revoke.url = "https://auth.example/revoke";
  profile->refresh.rotation = provider::Rotation::kAlways;
  profile->revoke.how = provider::RevokeHow::kRfc7009;
  profile->revoke.access_cascade = provider::Cascade::kNone;
  profile->revoke.refresh_cascade = provider::Cascade::kNone;
  return profile;
}

std::shared_ptr<config::Account> make_account(const std::string& name, std::shared_ptr<const provider::Profile> profile,
                                              provider::Grant grant) {
  auto account = std::make_shared<config::Account>();
  account->name = name;
  account->provider = profile->id;
  account->profile = std::move(profile);
  account->grant = grant;
  account->client_id = "client";
  account->identity = "identity of " + name;
  account->fingerprint = config::FieldHash(name).fingerprint();
  return account;
}

account::TokenSet make_tokens(const Clock& clock, const std::string& access, const std::string& refresh,
                              Duration lifetime) {
  account::TokenSet tokens;
  tokens.access_token = Secret(access);
  tokens.refresh_token = Secret(refresh);
  tokens.obtained_at = clock.wall();
  tokens.expires_at = clock.wall() + lifetime;
  return tokens;
}

oauth::Failure make_failure(oauth::FailureClass failure_class, const std::string& words) {
  oauth::Failure failure;
  failure.failure_class = failure_class;
  failure.code = "code";
  failure.words = words;
  return failure;
}

account::Account& CoreWorld::add(std::shared_ptr<const config::Account> config, std::optional<account::TokenSet> tokens,
                                 account::Generation generation) {
  account::Known known;
  known.generation = generation;
  known.standing = {tokens ? account::State::kOk : account::State::kNeedsLogin, clock.wall(), std::nullopt};
  if (tokens) {
    store::Install install;
    install.account = config->name;
    install.identity = config->identity;
    install.generation = generation;
    install.tokens = tokens->clone();
    install.standing = known.standing;
    store.apply(std::move(install), [](Result<store::Ids>) {});
    executor.run();
  }
  known.tokens = std::move(tokens);
  return accounts.add(std::move(config), std::move(known));
}

void CoreWorld::settle() {
  constexpr int kMostTurns = 100'000;  // more than any test needs: something is due again and again
  for (int turn = 0; executor.run() > 0 || (armed && *armed <= clock.boot()); ++turn) {
    CHECK(turn < kMostTurns);
    armed.reset();  // a one-shot timer
    agenda.run(clock.boot());
  }
}

void CoreWorld::advance(Duration d) {
  const BootTime end = clock.boot() + d;
  settle();
  while (armed && *armed <= end) {
    clock.advance_to(*armed);
    settle();
  }
  clock.advance_to(end);
}

std::unique_ptr<CoreWorld::Given> CoreWorld::ask(const std::string& account, Duration min_valid, Duration wait) {
  auto given = std::make_unique<Given>();
  Given* g = given.get();
  ipc::TokenQuery query;
  query.account = account;
  query.min_valid = min_valid;
  query.wait = wait;
  g->pending = desk.token(
      *accounts.find(account), query,
      [this](const account::Account&, bool waited) -> std::optional<ipc::Problem> {
        if (!waited || admits_who_waited) return std::nullopt;
        return ipc::Problem{ipc::ProblemKind::kNotAllowed, "not any more", {}, {}, {}};
      },
      [g](ipc::Answer<ipc::TokenView> answer) {
        g->answered = true;
        if (auto* problem = std::get_if<ipc::Problem>(&answer)) {
          g->problem = std::move(*problem);
          return;
        }
        const auto& view = std::get<ipc::TokenView>(answer);
        g->token = view.access_token;
        g->generation = view.generation;
        g->min_valid_met = view.min_valid_met;
        g->state = view.state;
      });
  settle();
  return given;
}

}  // namespace credsync::fakes
