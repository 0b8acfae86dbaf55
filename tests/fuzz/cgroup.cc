// The control groups of a process (cgroups(7)): a unit only where the path says it, none below a user's own manager.
#include "ipc/cgroup.h"

#include "base/text.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

void run(Input input) {
  const std::string text = with_repeats(input.rest(), 2 * ipc::kLongestCgroupText);
  const auto unit = ipc::system_unit_of(text);
  if (!unit) {
    HOLDS(is_fit_to_show(unit.error().message()) && !unit.error().message().empty());
    return;
  }
  HOLDS(text.size() <= ipc::kLongestCgroupText);
  HOLDS(is_unit_name(*unit) && !unit->ends_with(".slice") && !unit->starts_with("user@"));
  HOLDS(text.find("/" + *unit) != text.npos || text.find("/_" + *unit) != text.npos);  // the latter: escaped
}
