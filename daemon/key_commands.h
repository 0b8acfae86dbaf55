// credsyncd --rekey, --recovery-key, --recover and --start-over: what a person sees of store/key_change and
// store/start_over. Before the log and any thread; each ends the process with the status returned.
#pragma once

#include <string>

#include "daemon/config/config.h"
#include "daemon/store/master_key.h"

namespace credsync {

enum class KeyCommand { kRekey, kRecoveryKey, kRecover, kStartOver };

struct KeyFiles {
  std::string current;  // --key: the master key, instead of where the configuration says; "-": standard input
  std::string next;     // --new-key: the new one, instead of a random one
};

int run_key_command(KeyCommand command, const config::Paths& paths, const KeyFiles& files);

// Where the configuration says that the master key is.
store::KeySource key_source(const config::SecretSource& source);

}  // namespace credsync
