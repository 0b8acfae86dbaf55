// Which fault a test build has been told to have (base/mutation.h). One at a time, by name; $CREDSYNC_MUTATION sets it for
// a process that is started.
#pragma once

#include <string_view>
#include <vector>

#include "base/mutation.h"

namespace credsync::fakes {

// Every mutation but kNone.
const std::vector<Mutation>& all_mutations();
// "publish-first". Empty: none.
std::string_view name_of(Mutation mutation);
// Whether it breaks the core, which the simulation runs; else doors, messages or the disk.
bool is_the_cores(Mutation mutation);
// False: there is none of that name.
bool set_mutation(std::string_view name);
void set_mutation(Mutation mutation);

}  // namespace credsync::fakes
