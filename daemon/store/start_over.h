// The way on when the master key is lost for good, or the database is damaged: a new database, with every account signed
// out of nothing but its tokens. The old one is kept beside it, whole, in case the key turns up. What is not secret in it
// goes over: names, generations (they never go back) and who had signed out. Blocking; no daemon may run.
#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"
#include "daemon/store/key_change.h"

namespace credsync::store {

struct StartedOver {
  std::string kept_in;       // the folder with the old database, its slots and a key file that was none
  std::size_t accounts = 0;  // whose names and generations went over
  bool unreadable = false;   // the old database could not be read: generations begin anew
};

// kInvalid: the master key opens the database, nothing is lost. After any error or crash the old database is still in its
// place, or the new one is.
Result<StartedOver> start_over(KeyTask task, WallTime now);

}  // namespace credsync::store
