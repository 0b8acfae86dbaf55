#include "daemon/config/account_reader.h"

#include <utility>

#include <algorithm>

#include "base/text.h"
#include "daemon/config/account_checks.h"
#include "daemon/config/names.h"

namespace credsync::config {
namespace {

constexpr Duration kLongestGrace = 1h;  // a promise lasts an hour at most, grace need not outlive it
constexpr Duration kShortestMargin = 1s;
constexpr Duration kLongestMargin = days(30);
constexpr std::size_t kMaxIdBytes = 1024;  // client ids and user names; the longest seen is about 250

// RFC 6749, 3.3: %x21 / %x23-5B / %x5D-7E.
bool is_scope(std::string_view scope) {
  const auto fits = [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; };
  return !scope.empty() && std::all_of(scope.begin(), scope.end(), fits);
}

void check_scopes(const Account& account, TableReader& table) {
  for (const std::string& scope : account.scopes) {
    if (is_scope(scope)) continue;
    const bool several = scope.find(' ') != scope.npos;
    return table.wrong("scopes", several ? "one scope an entry: [\"a\", \"b\"], not [\"a b\"]"
                                         : "a scope is made of visible ASCII characters without quotes and backslash");
  }
}

void check_redirect(const Account& account, TableReader& table) {
  const std::string& uri = account.redirect_uri;
  if (uri.empty()) return;
  const auto visible = [](char c) { return c > 0x20 && c < 0x7f && c != '#'; };
  const std::size_t colon = uri.find(':');
  if (colon == uri.npos || colon == 0 || !std::all_of(uri.begin(), uri.end(), visible)) {
    table.wrong("redirect_uri",
                "must be an absolute URI without spaces and fragment, exactly as registered at the provider");
  } else if (account.redirect_port) {
    table.wrong("redirect_port", "is part of redirect_uri already; remove one of the two");
  }
}

}  // namespace

AccountReader::AccountReader(const ReadProfiles& profiles, Problems& problems)
    : profiles_(profiles), problems_(problems) {}

void AccountReader::read_defaults(const Node& node) {
  if (!node.is_table()) {
    problems_.add(node.spot, "defaults", "must be a table: [defaults]");
    return;
  }
  TableReader table(node, "defaults", problems_);
  read_common(table, defaults_);
  // Shared, not copied: there may be very many accounts.
  defaults_.default_allow = std::make_shared<const std::vector<AllowRule>>(std::exchange(defaults_.allow, {}));
  if (!defaults_.ca_file.empty()) {
    if (const auto finding = files_.certificates(defaults_.ca_file)) {
      table.wrong("ca_file", finding->words);
      defaults_.ca_file.clear();  // said once is enough
    }
  }
  table.finish();
}

void AccountReader::read_margin(TableReader& table, Account& account) {
  table.duration("margin", kShortestMargin, kLongestMargin, "auto", account.margin);
}

void AccountReader::read_common(TableReader& table, Account& account) {
  table.choice("refresh", account.refresh);
  read_margin(table, account);
  table.choice("revoke_superseded", account.revoke_superseded);
  std::optional<Duration> grace;
  if (table.duration("revoke_grace", Duration::zero(), kLongestGrace, "", grace)) account.revoke_grace = *grace;
  if (table.text("ca_file", account.ca_file)) {
    account.ca_file = absolute_path(account.ca_file, table.spot_of("ca_file"));
  }
  table.boolean("allow_http_loopback", account.allow_http_loopback);
  rules_.read(table, account.allow);
}

void AccountReader::read_client(TableReader& table, Account& account) {
  for (const auto& [key, out] : {std::pair{"client_id", &account.client_id},
                                 {"client_key_id", &account.client_key_id},
                                 {"username", &account.username}}) {
    if (table.text(key, *out) && out->size() > kMaxIdBytes) {
      table.wrong(key, "is longer than " + std::to_string(kMaxIdBytes) + " bytes");
    }
  }
  read_source(table, "client_secret", account.client_secret);
  read_source(table, "client_key", account.client_key);
  if (table.text("client_certificate", account.client_certificate)) {
    account.client_certificate = absolute_path(account.client_certificate, table.spot_of("client_certificate"));
  }
  read_source(table, "password", account.password);
  table.boolean("keep_password", account.keep_password);
}

void AccountReader::read_sign_in(TableReader& table, Account& account) {
  if (table.strings("scopes", account.scopes)) check_scopes(account, table);
  std::int64_t port = 0;
  if (table.whole("redirect_port", 1, 65535, port)) account.redirect_port = static_cast<unsigned>(port);
  if (table.text("redirect_uri", account.redirect_uri)) check_redirect(account, table);
  table.string_map("vars", account.vars);
  table.string_map("params", account.params);
}

bool AccountReader::find_profile(TableReader& table, Account& account) {
  if (!table.text("provider", account.provider)) {
    if (table.take("provider") == nullptr)
      table.wrong("provider", "is missing: the id of a provider profile, such as \"flat\"");
    return false;
  }
  const auto found = profiles_.good.find(account.provider);
  if (found != profiles_.good.end()) {
    account.profile = found->second;
    return true;
  }
  if (profiles_.broken.contains(account.provider)) return false;  // its own problem says why
  std::vector<std::string_view> known;
  for (const auto& [id, profile] : profiles_.good)
    known.push_back(id);
  const std::string_view near = nearest_word(account.provider, known);
  table.wrong("provider", "no provider `" + clean_foreign_text(account.provider) + "` is known" +
                              (near.empty() ? "; profiles are read from the catalogue and providers.d"
                                            : "; did you mean `" + std::string(near) + "`?"));
  return false;
}

// Accounts come file by file, so that the last name is nearly always the one.
std::shared_ptr<const std::string> AccountReader::file_of(const Spot& spot) {
  if (file_ == nullptr || spot.file == nullptr || *file_ != *spot.file) {
    file_ = std::make_shared<const std::string>(spot.place().file);
  }
  return file_;
}

std::shared_ptr<const Account> AccountReader::read(const std::string& name, const Node& node) {
  const std::string path = "account." + toml_key(name);
  if (!is_account_name(name)) {
    problems_.add(node.spot, clean_foreign_text(path),
                  "a name is at most 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit");
    return nullptr;
  }
  if (!node.is_table()) {
    problems_.add(node.spot, path, "must be a table: [" + path + "]");
    return nullptr;
  }
  const std::size_t before = problems_.fatal_count();
  auto account = std::make_shared<Account>(defaults_);
  account->name = name;
  account->origin = {file_of(node.spot), node.spot.line};
  TableReader table(node, path, problems_);
  const bool known = find_profile(table, *account);
  table.boolean("enabled", account->enabled);
  const bool grant = table.choice("grant", account->grant);
  if (!grant && table.take("grant") == nullptr) {
    table.wrong("grant", "is missing: how the account gets its tokens, such as \"authorization_code\"");
  }
  read_client(table, *account);
  read_sign_in(table, *account);
  read_common(table, *account);
  // Checks that build on a wrong value would only repeat the problem in other words.
  if (known && grant && problems_.fatal_count() == before) check_account(*account, table, files_);
  table.finish();
  if (problems_.fatal_count() != before) return nullptr;
  account->identity = identity_of(*account);
  account->fingerprint = fingerprints_.of(*account);
  return account;
}

}  // namespace credsync::config
