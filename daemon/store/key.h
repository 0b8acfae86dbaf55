// A key in guarded memory (libsodium's sodium_malloc): a page of its own between pages that nobody may touch, locked where
// the limits allow it, left out of core dumps, wiped when freed. Its page may not even be read, but while a Reading lives:
// a stray read elsewhere meets a fault instead of the key. Thread-safe: any number of threads may read at once.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace credsync::store {

constexpr std::size_t kKeyBytes = 32;

class Key {
  struct Page;

 public:
  // From here until it is destroyed the page can be read. Two system calls when it is the only one, none inside another:
  // who opens thousands of seals in a row holds one over all of them. It must not outlive its key.
  class [[nodiscard]] Reading {
   public:
    explicit Reading(Page& page);
    Reading(Reading&& other) noexcept;
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    Reading& operator=(Reading&&) = delete;
    ~Reading();
    const unsigned char* bytes() const;
    std::string_view expose() const { return {reinterpret_cast<const char*>(bytes()), kKeyBytes}; }

   private:
    Page* page_;
  };

  static Key random();
  // `bytes` must be kKeyBytes long; the source stays the caller's to wipe.
  static Key from(std::string_view bytes);

  Reading read() const { return Reading(*page_); }
  // Names the key in messages and beside what it wraps: 16 hex digits of a hash, which say nothing about its bytes.
  std::string id() const;

 private:
  struct Free {
    void operator()(Page* page) const;
  };
  explicit Key(std::unique_ptr<Page, Free> page) : page_(std::move(page)) {}
  template <typename Fill>
  static Key make(Fill&& fill);
  std::unique_ptr<Page, Free> page_;
};

// libsodium's start; once before any of the above. CHECKs, for without it nothing may be stored.
void start_sealing();

}  // namespace credsync::store
