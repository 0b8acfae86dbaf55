// Preloaded into a daemon: every sync of a file waits while the file that $STUCK_DISK_WHILE names exists. As a disk that
// hangs does, it holds the thread that asked and nobody else.
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

namespace {

void wait_while_stuck() {
  static const char* const flag = ::getenv("STUCK_DISK_WHILE");
  constexpr useconds_t kLookAgain = 10'000;
  while (flag != nullptr && ::access(flag, F_OK) == 0)
    ::usleep(kLookAgain);
}

int real(const char* name, int fd) {
  using Sync = int (*)(int);
  return reinterpret_cast<Sync>(::dlsym(RTLD_NEXT, name))(fd);
}

}  // namespace

extern "C" int fsync(int fd) {
  wait_while_stuck();
  return real("fsync", fd);
}

extern "C" int fdatasync(int fd) {
  wait_while_stuck();
  return real("fdatasync", fd);
}
