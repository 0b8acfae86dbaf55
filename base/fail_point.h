// Named moments at which a test ends the process, holds it up or makes it fail, as a crash, a slow disk or a broken one
// would. They exist only in programs that are built with CREDSYNC_TEST_SWITCHES (sources listed as SWITCHED, see
// cmake/CredsyncTargets.cmake); everywhere else the macro is 0 and not even the names are left. Use it in .cc files only,
// with a literal name "room.moment" that no other place has.
//
// What happens where is read anew at each point from the file that the environment's CREDSYNC_FAIL_POINTS names:
//   NAME ACTION [ARGUMENT] [skip=N] [times=N] [#WORDS]
// NAME may be * (any point). ACTION: kill (as kill -9 would), hold (until its line is gone), sleep MILLISECONDS, or
// error ERRNO (a number). The first N hits after the line came are skipped; `times` unset: every hit. Each point that is
// reached is noted in FILE.seen, and one that holds in FILE.held, a line each.
#pragma once

namespace credsync::fail_point {

#ifdef CREDSYNC_TEST_SWITCHES
// Thread-safe. 0: go on. Else the errno to fail with.
int reached(const char* name);
#define CREDSYNC_FAIL_POINT(name) ::credsync::fail_point::reached(name)
#else
constexpr int none() {
  return 0;
}
#define CREDSYNC_FAIL_POINT(name) ::credsync::fail_point::none()
#endif

}  // namespace credsync::fail_point
