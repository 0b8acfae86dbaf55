#include "tests/simulation/servers.h"

#include <algorithm>

#include "base/check.h"

namespace credsync::simulation {

using provider::Rotation;

Servers::Servers(const Plan& plan, const Timeline& time, Trace& trace) : plan_(plan), time_(time), trace_(trace) {
  for (std::size_t i = 0; i < plan.providers.size(); ++i)
    chances_.emplace_back(plan.seed, "server", i);
}

Token& Servers::give(std::size_t grant, bool refresh, True ends) {
  const std::size_t number = tokens_.size();
  Token token;
  token.text = (refresh ? "R" : "A") + std::to_string(grant) + "-" + std::to_string(number);
  token.refresh = refresh;
  token.grant = grant;
  token.issued = time_.now();
  token.ends = ends;
  by_text_.emplace(token.text, number);
  of_grant_[grant].push_back(number);
  tokens_.push_back(std::move(token));
  return tokens_.back();
}

const Token* Servers::find(std::string_view text) const {
  const auto at = by_text_.find(std::string(text));
  return at == by_text_.end() ? nullptr : &tokens_[at->second];
}

std::size_t Servers::provider_named(const std::string& id) const {
  for (std::size_t i = 0; i < plan_.providers.size(); ++i) {
    if (plan_.providers[i].profile->id == id) return i;
  }
  CHECK(false);
  return 0;
}

bool Servers::works(const Token& token) const {
  const Grant& grant = grants_[token.grant];
  const ProviderPlan& rules = plan_.providers[grant.provider];
  if (grant.dead || token.revoked || token.ends <= time_.now()) return false;
  if (!token.refresh) return true;
  if (rules.idle_life != kNever && time_.now() - grant.used >= rules.idle_life) return false;
  if (rules.absolute_life != kNever && time_.now() - grant.created >= rules.absolute_life) return false;
  return !token.replaced || time_.now() - *token.replaced < rules.overlap;
}

Grant& Servers::consent(const AccountPlan& account, const std::string& identity) {
  Grant grant;
  grant.number = grants_.size();
  grant.account = account.name;
  grant.provider = account.provider;
  grant.identity = identity;
  grant.created = grant.used = time_.now();
  grants_.push_back(std::move(grant));
  trace_.note(account.name, "user consents", {}, static_cast<std::int64_t>(grants_.back().number));
  return grants_.back();
}

std::string Servers::refresh_token_of(Grant& grant) {
  return give(grant.number, true, kNever).text;
}

std::string Servers::personal_token_of(Grant& grant) {
  return give(grant.number, false, kNever).text;
}

void Servers::kill(Grant& grant, const char* why) {
  if (grant.dead) return;
  grant.dead = true;
  grant.why = why;
  trace_.note(grant.account, "grant dies at the provider", why, static_cast<std::int64_t>(grant.number));
}

void Servers::withdraw(Grant& grant) {
  kill(grant, "withdrawn by its user");
}

// --- the token endpoint -------------------------------------------------------------------------------------------

namespace {

Reply error(int status, const std::string& code) {
  Reply reply;
  reply.status = status;
  reply.headers.push_back({"Content-Type", "application/json"});
  reply.body = R"({"error":")" + code + R"(","error_description":"no"})";
  return reply;
}

}  // namespace

Reply Servers::dead(std::size_t provider) const {
  switch (plan_.providers[provider].dead) {
    case Spelling::kInvalidGrant400: return error(400, "invalid_grant");
    case Spelling::kInvalidGrant401: return error(401, "invalid_grant");
    case Spelling::kInvalidGrant403: return error(403, "invalid_grant");
    case Spelling::kBadRefreshToken200: return error(200, "bad_refresh_token");
    case Spelling::kPassport401: return error(401, "invalid_request");
    case Spelling::kEmpty: break;
  }
  Reply empty;
  empty.status = 400;
  return empty;
}

Grant* Servers::grant_for(const config::Account& account, const oauth::GrantInput& input) {
  if (const auto* code = std::get_if<oauth::CodeInput>(&input)) {
    const auto number = static_cast<std::size_t>(std::stoul(std::string(code->code.expose().substr(5))));
    Grant& grant = grants_.at(number);
    const bool used_before = grant.why == "code used";
    grant.why = "code used";
    return used_before ? nullptr : &grant;
  }
  // A password or the client itself: each request is a grant of its own.
  for (const AccountPlan& plan : plan_.accounts) {
    if (plan.name == account.name) return &consent(plan, account.identity);
  }
  return nullptr;
}

Reply Servers::token(const config::Account& account, const oauth::GrantInput& input) {
  if (const auto* refresh_input = std::get_if<oauth::RefreshInput>(&input)) {
    const auto at = by_text_.find(std::string(refresh_input->refresh_token.expose()));
    if (at == by_text_.end()) return dead(provider_named(account.provider));
    return refresh(tokens_[at->second]);
  }
  Grant* grant = grant_for(account, input);
  if (grant == nullptr) return error(400, "invalid_grant");
  return give_tokens(*grant, nullptr);
}

Reply Servers::refresh(Token& token) {
  Grant& grant = grants_[token.grant];
  const ProviderPlan& rules = plan_.providers[grant.provider];
  const bool replaced = token.replaced && time_.now() - *token.replaced >= rules.overlap;
  if (!token.revoked && replaced && !grant.dead && rules.reuse_kills) kill(grant, "an old refresh token was sent");
  if (!works(token)) {
    trace_.note(grant.account, "provider refuses", token.text);
    return dead(grant.provider);
  }
  grant.used = time_.now();
  return give_tokens(grant, &token);
}

std::string Servers::in_force(Grant& grant) const {
  const auto& all = of_grant_.at(grant.number);
  for (auto at = all.rbegin(); at != all.rend(); ++at) {
    if (!tokens_[*at].refresh && works(tokens_[*at])) return tokens_[*at].text;
  }
  return {};
}

Reply Servers::give_tokens(Grant& grant, Token* used) {
  const ProviderPlan& rules = plan_.providers[grant.provider];
  Chance& chance = chances_[grant.provider];
  const std::size_t used_number = used == nullptr ? 0 : by_text_.at(used->text);
  const bool rotates = used != nullptr && (rules.rotation == Rotation::kAlways ||
                                           (rules.rotation == Rotation::kSometimes && chance.odds(0.5)));
  if (used != nullptr && rules.refresh_kills_access) {
    for (const std::size_t i : of_grant_[grant.number])
      tokens_[i].revoked = tokens_[i].revoked || !tokens_[i].refresh;
  }
  Reply reply;
  reply.headers.push_back({"Content-Type", "application/json"});
  if (used != nullptr && chance.odds(rules.same_access_again)) reply.access = in_force(grant);
  True ends = rules.end_told == EndTold::kUntold ? kNever : time_.now() + rules.lifetime;
  if (reply.access.empty()) {
    reply.access = give(grant.number, false, ends).text;
  } else {
    ends = find(reply.access)->ends;
    ends = ends == kNever ? ends : time_.now() + (ends - time_.now()) / Duration(1s) * Duration(1s);
  }
  reply.body = R"({"token_type":"bearer","access_token":")" + reply.access + "\"";
  put_end(rules, reply, ends);
  bool first = used == nullptr;
  for (const AccountPlan& plan : plan_.accounts) {
    if (plan.name == grant.account && plan.grant == provider::Grant::kClientCredentials) first = false;
  }
  if (rotates || first) {
    reply.refresh = give(grant.number, true, kNever).text;
    if (rotates && !tokens_[used_number].replaced) tokens_[used_number].replaced = time_.now();
  } else if (used != nullptr && chance.odds(0.5)) {
    reply.refresh = tokens_[used_number].text;
  }
  if (!reply.refresh.empty()) reply.body += R"(,"refresh_token":")" + reply.refresh + "\"";
  reply.body += "}";
  trace_.note(grant.account, rotates ? "provider rotates" : "provider gives tokens", reply.access);
  return reply;
}

void Servers::put_end(const ProviderPlan& rules, Reply& reply, True ends) const {
  const WallTime theirs = wall_from_seconds(1'790'000'000) + time_.now() + rules.skew;
  static const char* const kDays[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
  static const char* const kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::string iso = to_rfc3339(theirs);  // 2026-01-31T23:59:59Z
  const auto day = static_cast<std::size_t>(unix_seconds(theirs) / 86400 % 7);
  const auto month = static_cast<std::size_t>(std::stoi(iso.substr(5, 2)) - 1);
  reply.headers.push_back({"Date", std::string(kDays[day]) + ", " + iso.substr(8, 2) + " " + kMonths[month] + " " +
                                       iso.substr(0, 4) + " " + iso.substr(11, 8) + " GMT"});
  if (ends == kNever) return;
  const std::string seconds = std::to_string(to_seconds(ends - time_.now()));
  switch (rules.end_told) {
    case EndTold::kNumber: reply.body += R"(,"expires_in":)" + seconds; break;
    case EndTold::kText: reply.body += R"(,"expires_in":")" + seconds + "\""; break;
    case EndTold::kAbsolute:
      reply.body += R"(,"ends":)" + std::to_string(unix_seconds(theirs + (ends - time_.now())));
      break;
    case EndTold::kProfile:
    case EndTold::kUntold: break;
  }
}

// --- revocation ---------------------------------------------------------------------------------------------------

Reply Servers::revoke(std::size_t provider, std::string_view text) {
  Reply done;
  const auto at = by_text_.find(std::string(text));
  if (at == by_text_.end()) return done;  // RFC 7009, 2.2: unknown is as good as revoked
  Token& token = tokens_[at->second];
  Grant& grant = grants_[token.grant];
  const ProviderPlan& rules = plan_.providers[provider];
  trace_.note(grant.account, "provider revokes", token.text);
  token.revoked = true;
  const bool cascades = token.refresh ? rules.refresh_cascades : rules.access_cascades;
  if (cascades) kill(grant, "a token of it was revoked");
  return done;
}

}  // namespace credsync::simulation
