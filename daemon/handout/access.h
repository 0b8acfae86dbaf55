// Who may do what: the `allow` rules against the kernel's word for who asks. Pure; default deny.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "daemon/config/config.h"
#include "ipc/service.h"

namespace credsync::handout {

struct Owner {
  uid_t uid = 0;               // the daemon's own
  bool user_instance = false;  // then its owner may do everything
};

// Overflow ids stand for users of another namespace: nobody we know (design section 5, invariant 10).
constexpr uid_t kOverflowId = 65534;

struct Decision {
  config::Actions actions = 0;
  std::string rule;  // the label of the first rule that matched; empty: none
};

Decision decide(const ipc::Caller& caller, const config::Account& account, const Owner& owner);
bool allows(config::Actions actions, config::Action action);

// reload, metrics, audit, doctor: root, the owner of a user instance, and whom [defaults] gives `admin`.
bool is_admin(const ipc::Caller& caller, const config::Config& config, const Owner& owner);

// Each rule with the reason why it matches or not.
std::vector<ipc::WhoAmI::Rule> explain(const ipc::Caller& caller, const config::Account& account, const Owner& owner);

std::vector<std::string> names_of(config::Actions actions);

}  // namespace credsync::handout
