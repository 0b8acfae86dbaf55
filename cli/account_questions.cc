#include "cli/account_questions.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/text.h"
#include "cli/json.h"
#include "cli/prompt.h"
#include "cli/secret_input.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "cli/users.h"

namespace credsync::cli {
namespace {

// What the catalogue says of a provider, as far as an account depends on it.
struct Needs {
  std::string title;
  std::vector<std::string> grants;
  std::vector<std::string> vars;  // without a default
  bool public_clients = false;    // a client may have no secret
  bool exact_redirect = false;    // the redirect URI must be the registered one
};

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string_view rest = text;
  while (true) {
    const std::size_t begin = rest.find_first_not_of(" \t,");
    if (begin == rest.npos) return words;
    rest.remove_prefix(begin);
    const std::string_view word = rest.substr(0, rest.find_first_of(" \t,"));
    words.emplace_back(word);
    rest.remove_prefix(word.size());
  }
}

Outcome<ProviderSummary> find_provider(const std::string& id, const DaemonClient& client) {
  Request request;
  request.target = ipc::kProvidersPath;
  request.max_body = kMaxList;
  CREDSYNC_LET(response, client.call(request));
  CREDSYNC_LET(providers, parse_providers(response.body.text()));
  std::vector<std::string_view> known;
  for (const ProviderSummary& provider : providers) {
    if (provider.id == id) return provider;
    known.push_back(provider.id);
  }
  const std::string_view near = nearest_word(id, known);
  Failure failure = misused("there is no provider " + clean_foreign_text(id) +
                            (near.empty() ? "" : ", did you mean " + std::string(near) + "?"));
  failure.command = "credsync providers";
  return failure;
}

// Facts are keys and TOML values: vars.host.default = "www.example.org".
Outcome<Needs> needs_of(const std::string& id, const DaemonClient& client) {
  CREDSYNC_LET(summary, find_provider(id, client));
  Request request;
  request.target = std::string(ipc::kProvidersPath) + "/" + id;
  CREDSYNC_LET(response, client.call(request));
  CREDSYNC_LET(details, parse_provider(response.body.text()));
  Needs needs;
  needs.title = summary.title;
  needs.grants = summary.grants;
  std::set<std::string> vars, defaulted;
  for (const ProviderFact& fact : details.facts) {
    if (fact.key == "client.auth") needs.public_clients = fact.value.find("\"none\"") != fact.value.npos;
    if (fact.key == "authorize.redirect_port") needs.exact_redirect = fact.value.find("exact") != fact.value.npos;
    if (!fact.key.starts_with("vars.")) continue;
    const std::string rest = fact.key.substr(5);
    const std::string name = rest.substr(0, rest.find('.'));
    vars.insert(name);
    if (rest == name + ".default") defaulted.insert(name);
  }
  std::set_difference(vars.begin(), vars.end(), defaulted.begin(), defaulted.end(), std::back_inserter(needs.vars));
  return needs;
}

Outcome<std::map<std::string, std::string>> pairs_of(const std::vector<std::string>& words, const char* option) {
  std::map<std::string, std::string> pairs;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == word.npos || equals == 0) return misused(std::string(option) + " takes NAME=VALUE");
    if (!pairs.emplace(word.substr(0, equals), word.substr(equals + 1)).second)
      return misused(std::string(option) + " names the same twice");
  }
  return pairs;
}

// "me" is whoever calls, also through sudo.
Outcome<std::vector<std::string>> users_of(const std::vector<std::string>& names) {
  std::vector<std::string> users;
  for (const std::string& name : names) {
    std::string user = name == "me" ? user_name(sudo_caller().value_or(::geteuid())) : name;
    if (user.empty()) return misused("you have no name that a rule could say; use --allow-user NAME");
    if (std::find(users.begin(), users.end(), user) == users.end()) users.push_back(std::move(user));
  }
  return users;
}

bool has_client(const AccountDraft& draft) {
  return draft.grant != "static";
}

class Questions {
 public:
  Questions(const AccountAddCommand& command, bool own, const DaemonClient& client)
      : command_(command), own_(own), client_(client) {}

  Outcome<AskedAccount> run();

 private:
  Outcome<void> take_options();
  Outcome<void> ask_all();
  Outcome<void> ask_grant();
  Outcome<void> ask_client();
  Outcome<void> ask_sign_in();
  Outcome<void> ask_rules();
  Outcome<void> take_secret();
  Outcome<void> demand(bool given, const char* option) const {
    return given ? Outcome<void>() : misused(std::string("there is no terminal to ask on: say ") + option);
  }
  Outcome<void> ask(std::string& answer, const std::string& question, const std::string& otherwise = {}) {
    if (!answer.empty()) return {};
    CREDSYNC_LET(line, ask_line(question, otherwise));
    answer = line;
    return {};
  }

  const AccountAddCommand& command_;
  const bool own_;
  const DaemonClient& client_;
  AskedAccount asked_;
  Needs needs_;
};

Outcome<void> Questions::take_options() {
  AccountDraft& draft = asked_.draft;
  draft.name = command_.account;
  draft.provider = command_.provider;
  draft.grant = command_.grant;
  draft.client_id = command_.client_id;
  draft.username = command_.username;
  draft.redirect_uri = command_.redirect_uri;
  for (const std::string& scopes : command_.scopes) {
    for (std::string& scope : words_of(scopes))
      draft.scopes.push_back(std::move(scope));
  }
  CREDSYNC_LET(vars, pairs_of(command_.vars, "--var"));
  CREDSYNC_LET(params, pairs_of(command_.params, "--param"));
  CREDSYNC_LET(users, users_of(command_.users));
  draft.vars = vars;
  draft.params = params;
  draft.users = users;
  draft.groups = command_.groups;
  return {};
}

Outcome<void> Questions::ask_grant() {
  AccountDraft& draft = asked_.draft;
  if (draft.grant.empty() && needs_.grants.size() > 1)
    write_err((needs_.title.empty() ? draft.provider : needs_.title) + " offers " + join(needs_.grants, ", ") + ".\n");
  CREDSYNC_TRY(ask(draft.grant, "Grant", needs_.grants.empty() ? "authorization_code" : needs_.grants.front()));
  if (draft.grant == "password") CREDSYNC_TRY(ask(draft.username, "User name at the provider"));
  return {};
}

Outcome<void> Questions::ask_client() {
  if (has_client(asked_.draft)) CREDSYNC_TRY(ask(asked_.draft.client_id, "Client id"));
  for (const std::string& name : needs_.vars) {
    std::string value = asked_.draft.vars[name];
    CREDSYNC_TRY(ask(value, "Variable " + name + " of the provider's addresses"));
    asked_.draft.vars[name] = value;
  }
  return {};
}

Outcome<void> Questions::ask_sign_in() {
  AccountDraft& draft = asked_.draft;
  if (!has_client(draft) || draft.grant == "refresh_token") return {};
  if (draft.scopes.empty()) {
    CREDSYNC_LET(scopes, ask_line("Scopes, separated by blanks (empty: what the provider gives)"));
    draft.scopes = words_of(scopes);
  }
  if (needs_.exact_redirect && is_one_of(draft.grant, {"authorization_code", "implicit"}))
    CREDSYNC_TRY(
        ask(draft.redirect_uri, "Redirect URI, exactly as registered (such as http://127.0.0.1:8912/callback)"));
  return {};
}

Outcome<void> Questions::ask_rules() {
  AccountDraft& draft = asked_.draft;
  if (own_ || !draft.users.empty() || !draft.groups.empty()) return {};
  CREDSYNC_LET(line, ask_line("Users who may use it, separated by blanks", "me"));
  CREDSYNC_LET(users, users_of(words_of(line)));
  draft.users = users;
  return {};
}

// Everything that the options left open.
Outcome<void> Questions::ask_all() {
  CREDSYNC_TRY(ask_grant());
  CREDSYNC_TRY(ask_client());
  CREDSYNC_TRY(ask_sign_in());
  return ask_rules();
}

Outcome<void> Questions::take_secret() {
  AccountDraft& draft = asked_.draft;
  if (command_.no_secret || !has_client(draft)) return {};
  if (command_.print) {
    if (!needs_.public_clients) draft.secret_file = draft.name + ".secret";
    return {};
  }
  if (command_.secret_stdin) {
    CREDSYNC_LET(secret, read_secret_from_stdin());
    asked_.secret = std::move(secret);
  } else if (can_ask()) {
    const char* words =
        needs_.public_clients ? "Client secret (not shown; empty: a public client): " : "Client secret (not shown): ";
    CREDSYNC_LET(secret, ask_optional_secret(words));
    asked_.secret = std::move(secret);
  }
  if (!asked_.secret.empty()) draft.secret_file = draft.name + ".secret";
  return {};
}

Outcome<AskedAccount> Questions::run() {
  CREDSYNC_TRY(take_options());
  AccountDraft& draft = asked_.draft;
  const bool told = !draft.provider.empty() && !draft.grant.empty() && (!draft.client_id.empty() || !has_client(draft));
  if (!told && !can_ask()) {
    CREDSYNC_TRY(demand(!draft.provider.empty(), "--provider"));
    CREDSYNC_TRY(demand(!draft.grant.empty(), "--grant"));
    CREDSYNC_TRY(demand(false, "--client-id"));
  }
  CREDSYNC_TRY(ask(draft.provider, "Provider (credsync providers lists them)"));
  auto needs = needs_of(draft.provider, client_);
  if (needs) {
    needs_ = std::move(*needs);
  } else if (!(command_.print && told && needs.error().exit == ExitCode::kUnreachable)) {
    return std::move(needs).error();
  }
  if (!told) CREDSYNC_TRY(ask_all());
  CREDSYNC_TRY(take_secret());
  return std::move(asked_);
}

}  // namespace

Outcome<AskedAccount> ask_for_account(const AccountAddCommand& command, bool own, const DaemonClient& client) {
  return Questions(command, own, client).run();
}

}  // namespace credsync::cli
