#include "base/secret.h"

#include <string.h>

#include <cstring>
#include <utility>

namespace credsync {

void wipe(void* memory, std::size_t size) {
  if (memory != nullptr && size != 0) ::explicit_bzero(memory, size);
}

void wipe(std::string& text) {
  text.resize(text.capacity());
  wipe(text.data(), text.size());
  text.clear();
}

Secret::Secret(std::string_view bytes)
    : bytes_(bytes.empty() ? nullptr : std::make_unique<char[]>(bytes.size())), size_(bytes.size()) {
  if (size_ != 0) std::memcpy(bytes_.get(), bytes.data(), size_);
}

Secret Secret::take(std::string&& text) {
  Secret secret(text);
  credsync::wipe(text);
  return secret;
}

Secret::Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe();
    bytes_ = std::move(other.bytes_);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Secret::~Secret() {
  wipe();
}

void Secret::wipe() {
  credsync::wipe(bytes_.get(), size_);
  bytes_.reset();
  size_ = 0;
}

bool same_secret(const Secret& a, const Secret& b) {
  if (a.size() != b.size()) return false;
  const std::string_view x = a.expose();
  const std::string_view y = b.expose();
  unsigned difference = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    difference |= static_cast<unsigned>(static_cast<unsigned char>(x[i]) ^ static_cast<unsigned char>(y[i]));
  }
  return difference == 0;
}

WipedString::WipedString(WipedString&& other) noexcept : text_(std::move(other.text_)) {
  wipe(other.text_);
}

WipedString& WipedString::operator=(WipedString&& other) noexcept {
  if (this != &other) {
    wipe(text_);
    text_ = std::move(other.text_);
    wipe(other.text_);
  }
  return *this;
}

}  // namespace credsync
