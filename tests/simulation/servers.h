// The authorization servers of a world, as they really are: grants, tokens, rotation, overlap, reuse detection, cascades.
// They know nothing of the daemon; what they did is the truth that the judge compares with.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/oauth/http.h"
#include "daemon/oauth/token_endpoint.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/trace.h"

namespace credsync::simulation {

struct Token {
  std::string text;
  bool refresh = false;
  std::size_t grant = 0;
  True issued{0};
  True ends = kNever;
  std::optional<True> replaced;  // a refresh token: when its successor was given out first
  bool revoked = false;
};

struct Grant {
  std::size_t number = 0;
  std::string account;
  std::size_t provider = 0;
  std::string identity;  // of the configuration it was given for
  True created{0}, used{0};
  bool dead = false;
  std::string why;  // it died
};

// What a server sends back, and what it gave out with that.
struct Reply {
  int status = 200;
  std::vector<oauth::Header> headers;
  std::string body;
  std::string access, refresh;  // given out; empty: nothing
};

class Servers {
 public:
  Servers(const Plan& plan, const Timeline& time, Trace& trace);

  // A user says yes. The account's earlier grants live on.
  Grant& consent(const AccountPlan& account, const std::string& identity);
  // For an import: a refresh token that came another way.
  std::string refresh_token_of(Grant& grant);
  std::string code_of(const Grant& grant) { return "code-" + std::to_string(grant.number); }
  std::string personal_token_of(Grant& grant);
  // The user thinks better of it, at the provider.
  void withdraw(Grant& grant);

  Reply token(const config::Account& account, const oauth::GrantInput& input);
  Reply revoke(std::size_t provider, std::string_view token);
  // An error answer that says the grant is dead, in this provider's words.
  Reply dead(std::size_t provider) const;

  const Token* find(std::string_view text) const;
  const Grant& grant_of(const Token& token) const { return grants_[token.grant]; }
  std::deque<Grant>& grants() { return grants_; }
  // Would an API, or the token endpoint, take it now?
  bool works(const Token& token) const;
  const ProviderPlan& provider(std::size_t number) const { return plan_.providers[number]; }
  std::size_t provider_named(const std::string& id) const;
  std::uint64_t tokens_given() const { return tokens_.size(); }

 private:
  Token& give(std::size_t grant, bool refresh, True ends);
  Reply give_tokens(Grant& grant, Token* used);
  Reply refresh(Token& token);
  void kill(Grant& grant, const char* why);
  std::string in_force(Grant& grant) const;
  Grant* grant_for(const config::Account& account, const oauth::GrantInput& input);
  void put_end(const ProviderPlan& provider, Reply& reply, True ends) const;

  const Plan& plan_;
  const Timeline& time_;
  Trace& trace_;
  std::vector<Chance> chances_;  // by provider
  std::deque<Grant> grants_;
  std::deque<Token> tokens_;
  std::unordered_map<std::string, std::size_t> by_text_;  // looked up, never walked
  std::map<std::size_t, std::vector<std::size_t>> of_grant_;
};

}  // namespace credsync::simulation
