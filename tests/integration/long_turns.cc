// Preloaded into the daemon: how long the loop's turns are, in time of the processor, so that a busy machine changes
// nothing. A turn is what the main thread does between two waits. The longest so far, and each that is longer than
// CREDSYNC_LONG_TURN_MS, go as a line "MICROSECONDS\n" into the file CREDSYNC_LONG_TURNS.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace {

long long spent() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000LL + now.tv_nsec / 1'000;
}

class Turns {
 public:
  void end() {
    if (!ours() || began_ < 0) return;
    const long long lasted = spent() - began_;
    if (lasted <= longest_ && lasted < bound_) return;
    if (lasted > longest_) longest_ = lasted;
    char line[32];
    const int size = std::snprintf(line, sizeof line, "%lld\n", lasted);
    if (file_ >= 0 && ::write(file_, line, static_cast<std::size_t>(size)) < 0) file_ = -1;
  }
  void begin() {
    if (ours()) began_ = spent();
  }

 private:
  static bool ours() { return ::syscall(SYS_gettid) == ::getpid(); }
  static int open_file() {
    const char* name = std::getenv("CREDSYNC_LONG_TURNS");
    return name == nullptr ? -1 : ::open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  }
  static long long bound() {
    const char* text = std::getenv("CREDSYNC_LONG_TURN_MS");
    return (text == nullptr ? 100 : std::atoll(text)) * 1'000;
  }

  int file_ = open_file();
  long long bound_ = bound(), began_ = -1, longest_ = 0;
};

Turns& turns() {
  static Turns all;
  return all;
}

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int epoll_wait(int set, epoll_event* events, int most, int timeout) {
  static auto* real = next<int(int, epoll_event*, int, int)>("epoll_wait");
  if (timeout == 0) return real(set, events, most, timeout);  // a look within a turn
  turns().end();
  const int count = real(set, events, most, timeout);
  turns().begin();
  return count;
}

int epoll_pwait2(int set, epoll_event* events, int most, const timespec* timeout, const sigset_t* mask) {
  static auto* real = next<int(int, epoll_event*, int, const timespec*, const sigset_t*)>("epoll_pwait2");
  const bool waits = timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
  if (!waits) return real(set, events, most, timeout, mask);
  turns().end();
  const int count = real(set, events, most, timeout, mask);
  turns().begin();
  return count;
}
}
