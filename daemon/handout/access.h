// Who may do what: the `allow` rules against the kernel's word for who asks. Default deny. What a rule needs to know of
// the caller's process is asked for when that rule is looked at, once for each decision; otherwise pure.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "daemon/config/config.h"
#include "ipc/service.h"

namespace credsync::handout {

// Who rules here without a rule.
struct Owner {
  uid_t uid = 0;                     // the daemon's own
  bool user_instance = false;        // then its owner may do everything
  std::optional<gid_t> admin_group;  // members administer as root does: Config::admin_group
};

// Overflow ids stand for users of another namespace: nobody we know (design section 5, invariant 10).
constexpr uid_t kOverflowId = 65534;

struct Decision {
  config::Actions actions = 0;
  std::string rule;  // the label of the first rule that grants what is wanted; else of the first that matches; or empty
};

Decision decide(const ipc::Caller& caller, const config::Account& account, const Owner& owner,
                config::Action wanted = config::Action::kWatch);
bool allows(config::Actions actions, config::Action action);

// Administers without a rule: root, the owner of a user instance, members of the admin group, and whom polkit let.
bool rules_here(const ipc::Caller& caller, const Owner& owner);
// reload, metrics, audit, doctor: those, and whom [defaults] gives `admin`.
bool is_admin(const ipc::Caller& caller, const config::Config& config, const Owner& owner);

// Each rule with the reason why it matches or not.
std::vector<ipc::WhoAmI::Rule> explain(const ipc::Caller& caller, const config::Account& account, const Owner& owner);

// The caller with `unit` and `exe` as they are now and no process: for a record that outlives the call.
ipc::Caller seen_now(const ipc::Caller& caller);

std::vector<std::string> names_of(config::Actions actions);
std::string_view name_of(config::Action action);

}  // namespace credsync::handout
