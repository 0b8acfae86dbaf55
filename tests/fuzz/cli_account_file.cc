// Account files that the command writes and removes: the daemon's parser reads what was asked for, and what the command
// calls a file of this account alone is one.
//
// M 0: lines "key=value" of a draft; 1: the rest is a file.
#include "cli/account_file.h"

#include "daemon/config/parse_toml.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;
using config::Node;

namespace {

const std::string kAccount = "flat-me";

std::optional<Node> parse(std::string_view text) {
  static const std::string file = "accounts.d/flat-me.toml";
  config::Problems problems;
  return config::parse_toml(text, &file, problems);
}

std::string text_at(const Node& node, const char* key) {
  const auto found = node.fields.find(key);
  return found == node.fields.end() ? std::string() : found->second.text;
}

void check_draft(Input input) {
  cli::AccountDraft draft;
  draft.name = kAccount;
  draft.secret_file = input.flag() ? kAccount + ".secret" : "";
  draft.provider = input.line();
  draft.client_id = input.line();
  draft.username = input.line();
  draft.redirect_uri = input.line();
  while (!input.rest().empty() && draft.scopes.size() < 8) {
    const std::string word(input.line());
    draft.scopes.push_back(word);
    draft.params[word] = word;
    draft.users.push_back(word);
  }
  const auto toml = cli::account_toml(draft);
  if (!toml) {
    HOLDS(is_fit_to_show(toml.error().message));
    return;
  }
  const auto tree = parse(*toml);
  HOLDS(tree);
  const Node& account = tree->fields.at("account").fields.at(kAccount);
  HOLDS(text_at(account, "provider") == draft.provider && text_at(account, "client_id") == draft.client_id);
  HOLDS(text_at(account, "username") == draft.username && text_at(account, "redirect_uri") == draft.redirect_uri);
  if (!draft.scopes.empty()) {
    const Node& scopes = account.fields.at("scopes");
    HOLDS(scopes.items.size() == draft.scopes.size());
    for (std::size_t i = 0; i < scopes.items.size(); ++i)
      HOLDS(scopes.items[i].text == draft.scopes[i]);
    HOLDS(account.fields.at("params").fields.size() == draft.params.size());
    HOLDS(account.fields.at("allow").items.size() == draft.users.size());
  }
  HOLDS(cli::defines_only(*toml, kAccount) && cli::is_written_here(*toml));
  HOLDS(cli::secret_file_of(*toml, kAccount) == draft.secret_file);
}

void check_file(std::string_view text) {
  const bool only = cli::defines_only(text, kAccount);
  static_cast<void>(cli::secret_file_of(text, kAccount));
  const auto tree = parse(text);
  if (!only || !tree) return;
  HOLDS(tree->fields.size() == 1 && tree->fields.contains("account"));
  const Node& accounts = tree->fields.at("account");
  HOLDS(accounts.fields.size() == 1 && accounts.fields.contains(kAccount));
}

}  // namespace

void run(Input input) {
  if (input.flag())
    check_file(input.rest());
  else
    check_draft(input);
}
