// Memory that is given back to the heap is overwritten first: what no Secret could keep (a string that grew, a copy that a
// library made, a buffer that it moved) does not lie there for longer than it is used. Linked into credsyncd only, as an
// object, so that all libraries meet these functions too: libstdc++'s operator delete calls free(), sd-bus and OpenSSL and
// SQLite do, and nobody but the owner of the program can wipe what realloc() leaves behind.
//
// glibc lets a program replace its allocator; this one is glibc's own with a step before. The sanitizers bring allocators
// of their own, which find more than this would wipe.
#include <malloc.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/secret.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CREDSYNC_SANITIZER_HEAP
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CREDSYNC_SANITIZER_HEAP
#endif

#if defined(__GLIBC__) && !defined(CREDSYNC_SANITIZER_HEAP)

extern "C" {

void __libc_free(void* memory) noexcept;                   // NOLINT: glibc's names for what is replaced here
void* __libc_realloc(void* memory, size_t size) noexcept;  // NOLINT

// The whole block, for what was in it may have been longer once. errno stays, as free(3) promises.
void free(void* memory) noexcept {
  if (memory == nullptr) return;
  credsync::wipe(memory, ::malloc_usable_size(memory));
  __libc_free(memory);
}

// In place only where the block fits as it is; else moved here, for glibc would free the old one unwiped.
void* realloc(void* memory, size_t size) noexcept {
  if (memory == nullptr || size == 0) {
    if (memory != nullptr) credsync::wipe(memory, ::malloc_usable_size(memory));
    return __libc_realloc(memory, size);
  }
  const size_t old = ::malloc_usable_size(memory);
  if (size <= old && size >= old / 2) {
    credsync::wipe(static_cast<char*>(memory) + size, old - size);
    return memory;
  }
  void* moved = std::malloc(size);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, memory, std::min(old, size));
  free(memory);
  return moved;
}

}  // extern "C"

#endif
