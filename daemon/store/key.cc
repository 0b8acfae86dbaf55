#include "daemon/store/key.h"

#include <sodium.h>

#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/encoding.h"

namespace credsync::store {
namespace {

constexpr std::size_t kIdBytes = 8;

}  // namespace

struct Key::Page {
  unsigned char* memory;
  std::mutex mutex;
  unsigned readers = 0;
};

void start_sealing() {
  CHECK(::sodium_init() >= 0);
}

void Key::Free::operator()(Page* page) const {
  CHECK(page->readers == 0);
  ::sodium_free(page->memory);  // makes it writable, wipes it, unlocks it
  delete page;
}

Key::Reading::Reading(Page& page) : page_(&page) {
  const std::lock_guard lock(page.mutex);
  if (page.readers++ == 0) CHECK(::sodium_mprotect_readonly(page.memory) == 0);
}

Key::Reading::Reading(Reading&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}

Key::Reading::~Reading() {
  if (page_ == nullptr) return;
  const std::lock_guard lock(page_->mutex);
  if (--page_->readers == 0) CHECK(::sodium_mprotect_noaccess(page_->memory) == 0);
}

const unsigned char* Key::Reading::bytes() const {
  return page_->memory;
}

template <typename Fill>
Key Key::make(Fill&& fill) {
  start_sealing();  // once is enough, and more is harmless
  auto* memory = static_cast<unsigned char*>(::sodium_malloc(kKeyBytes));
  if (memory == nullptr) throw std::bad_alloc();
  std::unique_ptr<Page, Free> page(new Page{memory, {}, 0});
  fill(memory);
  CHECK(::sodium_mprotect_noaccess(memory) == 0);
  return Key(std::move(page));
}

Key Key::random() {
  return make([](unsigned char* memory) { ::randombytes_buf(memory, kKeyBytes); });
}

Key Key::from(std::string_view bytes) {
  CHECK(bytes.size() == kKeyBytes);
  return make([bytes](unsigned char* memory) { std::memcpy(memory, bytes.data(), kKeyBytes); });
}

std::string Key::id() const {
  static constexpr unsigned char kPurpose[] = "credsync key id";
  unsigned char hash[crypto_generichash_BYTES];
  ::crypto_generichash(hash, sizeof hash, kPurpose, sizeof kPurpose, read().bytes(), kKeyBytes);
  return encode_hex({reinterpret_cast<const char*>(hash), kIdBytes});
}

}  // namespace credsync::store
