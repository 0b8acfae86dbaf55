// An account's file in accounts.d: written from what was asked, and looked at before it is removed. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/failure.h"

namespace credsync::cli {

struct AccountDraft {
  std::string name;
  std::string provider;
  std::string grant;
  std::string client_id;
  std::string secret_file;  // beside it; empty: the client has no secret
  std::string username;
  std::vector<std::string> scopes;
  std::map<std::string, std::string> vars;
  std::map<std::string, std::string> params;
  std::string redirect_uri;
  std::vector<std::string> users;   // may fetch its token, refresh it and sign it in
  std::vector<std::string> groups;  // may fetch its token
};

// TOML v1.0, whole. A value with control characters or broken UTF-8 is a Failure that names its key.
Outcome<std::string> account_toml(const AccountDraft& draft);

// Whether the text defines this account and nothing else, as far as that can be told without reading TOML in full: in doubt
// it does not. What account_toml writes passes.
bool defines_only(std::string_view toml, const std::string& account);

// The file beside it that holds the client's secret, as account_toml names it; empty if there is none.
std::string secret_file_of(std::string_view toml, const std::string& account);

// Whether account_toml wrote it: a secret beside a file that a person wrote is that person's.
bool is_written_here(std::string_view toml);

}  // namespace credsync::cli
