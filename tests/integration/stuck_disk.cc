// Preloaded into a daemon: every sync of a file waits while the file that $STUCK_DISK_WHILE names exists, and every reading of a
// folder while that of $STUCK_FOLDER_WHILE does. As a disk that hangs does, it holds the thread that asked and nobody else.
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

namespace {

void wait_while(const char* variable) {
  const char* const flag = ::getenv(variable);
  constexpr useconds_t kLookAgain = 10'000;
  while (flag != nullptr && ::access(flag, F_OK) == 0)
    ::usleep(kLookAgain);
}

int sync(const char* name, int fd) {
  using Sync = int (*)(int);
  wait_while("STUCK_DISK_WHILE");
  return reinterpret_cast<Sync>(::dlsym(RTLD_NEXT, name))(fd);
}

}  // namespace

extern "C" int fsync(int fd) {
  return sync("fsync", fd);
}

extern "C" int fdatasync(int fd) {
  return sync("fdatasync", fd);
}

extern "C" DIR* opendir(const char* path) {
  using Open = DIR* (*)(const char*);
  wait_while("STUCK_FOLDER_WHILE");
  return reinterpret_cast<Open>(::dlsym(RTLD_NEXT, "opendir"))(path);
}
