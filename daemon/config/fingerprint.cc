#include "daemon/config/fingerprint.h"

#include <sodium.h>

#include <algorithm>

#include "base/check.h"
#include "base/encoding.h"
#include "daemon/config/writer.h"
#include "daemon/provider/names.h"
#include "daemon/provider/template.h"
#include "daemon/provider/url.h"

namespace credsync::config {
namespace {

constexpr std::size_t kHashBytes = 32;

// scheme://host[:port] of the token endpoint; of the issuer where it is still to be discovered; else empty (a
// static token has none).
std::string grant_origin(const Account& account) {
  if (!account.profile) return {};
  const provider::Profile& profile = *account.profile;
  const std::string& text = profile.endpoints.token.url.empty() ? profile.issuer : profile.endpoints.token.url;
  const auto expanded = provider::expand(text, profile.vars, account.vars);
  const auto url = expanded ? provider::parse_url(*expanded) : Result<provider::Url>(expanded.error());
  return url ? provider::origin_of(*url) : std::string();
}

void add_lines(FieldHash& hash, const Lines& lines) {
  hash.add(std::to_string(lines.size()));
  for (const auto& [key, value] : lines)
    hash.add(key).add(value);
}

}  // namespace

struct FieldHash::State {
  crypto_generichash_state hash;
};

FieldHash::FieldHash(std::string_view purpose) : state_(std::make_unique<State>()) {
  CHECK(sodium_init() >= 0);
  crypto_generichash_init(&state_->hash, nullptr, 0, kHashBytes);
  add(purpose);
}

FieldHash::~FieldHash() = default;

FieldHash& FieldHash::add(std::string_view field) {
  unsigned char size[8];
  for (unsigned i = 0; i < sizeof size; ++i)
    size[i] = static_cast<unsigned char>(field.size() >> (8 * i));
  crypto_generichash_update(&state_->hash, size, sizeof size);
  crypto_generichash_update(&state_->hash, reinterpret_cast<const unsigned char*>(field.data()), field.size());
  return *this;
}

std::array<unsigned char, 32> FieldHash::finish() {
  std::array<unsigned char, kHashBytes> out;
  crypto_generichash_final(&state_->hash, out.data(), out.size());
  return out;
}

std::string FieldHash::hex() {
  const auto hash = finish();
  return encode_hex(std::string_view(reinterpret_cast<const char*>(hash.data()), hash.size()));
}

Fingerprint FieldHash::fingerprint() {
  const auto hash = finish();
  Fingerprint half;
  std::copy_n(hash.begin(), half.size(), half.begin());
  return half;
}

const std::string& Fingerprints::of(const std::shared_ptr<const provider::Profile>& profile) {
  const auto [found, added] = profiles_.try_emplace(profile.get());
  if (added && profile) {
    FieldHash hash("profile 1");
    hash.add(profile->id);
    Lines lines = lines_of(*profile);
    std::erase_if(lines, [](const auto& line) { return line.first == "title" || line.first == "docs"; });  // for people
    add_lines(hash, lines);
    found->second = hash.hex();
  }
  return found->second;
}

Fingerprint Fingerprints::of(const Account& account) {
  FieldHash hash("account 1");
  hash.add(account.name).add(account.identity).add(of(account.profile));
  add_lines(hash, lines_of(account));
  // The ids themselves: a user of the same name may have been made anew.
  const auto add_ids = [&](const std::vector<AllowRule>& rules) {
    for (const AllowRule& rule : rules) {
      hash.add(rule.user ? std::to_string(*rule.user) : "").add(rule.group ? std::to_string(*rule.group) : "");
    }
  };
  add_ids(account.allow);
  if (account.default_allow != nullptr) {
    hash.add(toml_rules(*account.default_allow));
    add_ids(*account.default_allow);
  }
  return hash.fingerprint();
}

std::string identity_of(const Account& account) {
  std::vector<std::string> scopes = account.scopes;
  std::sort(scopes.begin(), scopes.end());  // a set: another order is the same grant
  scopes.erase(std::unique(scopes.begin(), scopes.end()), scopes.end());
  FieldHash hash("grant 1");
  hash.add(account.provider).add(grant_origin(account)).add(account.client_id);
  hash.add(provider::to_name(account.grant)).add(account.username);
  for (const std::string& scope : scopes)
    hash.add(scope);
  return hash.hex();
}

Difference difference(const Config& before, const Config& after) {
  Difference out;
  for (const auto& [name, account] : after.accounts) {
    const auto old = before.accounts.find(name);
    if (old == before.accounts.end())
      out.added.push_back(name);
    else if (old->second->fingerprint != account->fingerprint)
      out.changed.push_back(name);
  }
  for (const auto& [name, account] : before.accounts) {
    if (!after.accounts.contains(name)) out.removed.push_back(name);
  }
  return out;
}

}  // namespace credsync::config
