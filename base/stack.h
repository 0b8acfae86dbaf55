// What those who were called have left of a secret on the stack. They are libraries' functions, and the dynamic linker: when
// a library calls another for the first time it saves all vector registers there, and a copy just made is still in them.
#pragma once

namespace credsync {

// Overwrites the 16 KiB below the caller's frame: what libraries need for an answer, and the registers besides.
void wipe_stack();

}  // namespace credsync
