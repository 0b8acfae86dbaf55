// Accounts: each key read, what [defaults] says filled in, and everything checked that can be known before
// the provider is asked: that it offers the grant, that the client can authenticate, that every file can be
// read.
#pragma once

#include "daemon/config/fingerprint.h"
#include "daemon/config/profile_reader.h"
#include "daemon/config/rules.h"
#include "daemon/config/sources.h"

namespace credsync::config {

class AccountReader {
 public:
  AccountReader(const ReadProfiles& profiles, Problems& problems);

  // [defaults]: before any account.
  void read_defaults(const Node& node);
  std::shared_ptr<const std::vector<AllowRule>> default_rules() const { return defaults_.default_allow; }
  // One [account.NAME]. Null if it cannot be used; then a problem says why.
  std::shared_ptr<const Account> read(const std::string& name, const Node& node);

 private:
  void read_common(TableReader& table, Account& account);
  void read_client(TableReader& table, Account& account);
  void read_sign_in(TableReader& table, Account& account);
  void read_margin(TableReader& table, Account& account);
  bool find_profile(TableReader& table, Account& account);
  std::shared_ptr<const std::string> file_of(const Spot& spot);

  const ReadProfiles& profiles_;
  Problems& problems_;
  Account defaults_;
  RuleReader rules_;
  FileChecks files_;
  Fingerprints fingerprints_;
  std::shared_ptr<const std::string> file_;  // of the account read last
};

}  // namespace credsync::config
