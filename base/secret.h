// A token, password, key or code. Move-only, wiped when done, and silent: it cannot be printed, compared or copied by
// accident. Where its bytes are really needed, expose() says so, and grep finds every such place.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace credsync {

class Secret {
 public:
  Secret() = default;
  // Copies the bytes; the source stays the caller's to wipe.
  explicit Secret(std::string_view bytes);
  // Takes over the text and wipes the string it came in.
  static Secret take(std::string&& text);

  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  // The bytes, for as long as this object lives.
  std::string_view expose() const { return {bytes_.get(), size_}; }
  // A second copy, made on purpose.
  Secret clone() const { return Secret(expose()); }
  void wipe();

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
};

// Equality in time that depends on the lengths only.
bool same_secret(const Secret& a, const Secret& b);

// Overwrites memory in a way the compiler may not drop.
void wipe(void* memory, std::size_t size);
// Overwrites the whole capacity of `text` and empties it.
void wipe(std::string& text);

// A string that is wiped when its scope ends: for building messages that carry secrets.
class WipedString {
 public:
  WipedString() = default;
  explicit WipedString(std::string text) : text_(std::move(text)) {}
  WipedString(WipedString&& other) noexcept;
  WipedString& operator=(WipedString&& other) noexcept;
  ~WipedString() { wipe(text_); }
  // Reserve before appending: a string that grows leaves its old bytes behind.
  std::string& text() { return text_; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace credsync
