// D-Bus as bytes, for callers that no library would let do what they do (D-Bus Specification, "Message Format"). Little-endian
// machines only.
#pragma once

#include <unistd.h>

#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace bus_wire {

static_assert(std::endian::native == std::endian::little);

// Bytes with the alignment that D-Bus wants, counted from the beginning.
class Bytes {
 public:
  void pad(std::size_t to) { bytes_.append((to - bytes_.size() % to) % to, '\0'); }
  template <typename Number>
  void number(Number value) {
    pad(sizeof value);
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    bytes_.append(raw, sizeof value);
  }
  void string(std::string_view text) {  // and an object path
    number(static_cast<std::uint32_t>(text.size()));
    bytes_.append(text).push_back('\0');
  }
  void signature(std::string_view text) {
    bytes_.push_back(static_cast<char>(text.size()));
    bytes_.append(text).push_back('\0');
  }
  // An array's length is known when its end is: begin_array() gives what end_array() needs. `align` is its elements'.
  struct Array {
    std::size_t length_at, first;
  };
  Array begin_array(std::size_t align) {
    number<std::uint32_t>(0);
    const std::size_t length_at = bytes_.size() - 4;
    pad(align);
    return {length_at, bytes_.size()};
  }
  void end_array(const Array& array) {
    const auto length = static_cast<std::uint32_t>(bytes_.size() - array.first);
    std::memcpy(bytes_.data() + array.length_at, &length, sizeof length);
  }
  void raw(std::string_view text) { bytes_.append(text); }
  const std::string& str() const { return bytes_; }

 private:
  std::string bytes_;
};

inline constexpr std::size_t kSerialAt = 8;  // in a message

struct Call {
  std::string_view destination, path, interface, member;
  std::string signature;
  Bytes body;
  std::uint32_t descriptors = 0;  // that come with it
};

inline std::string message(const Call& call, std::uint32_t serial) {
  constexpr std::uint8_t kMethodCall = 1, kVersion = 1;
  Bytes out;
  out.raw("l");
  out.number(kMethodCall);
  out.number(std::uint8_t{0});  // flags: an answer is wanted
  out.number(kVersion);
  out.number(static_cast<std::uint32_t>(call.body.str().size()));
  out.number(serial);
  const auto fields = out.begin_array(8);
  const auto field = [&](std::uint8_t code, std::string_view type, std::string_view value) {
    out.pad(8);
    out.number(code);
    out.signature(type);
    type == "g" ? out.signature(value) : out.string(value);
  };
  field(1, "o", call.path);
  field(2, "s", call.interface);
  field(3, "s", call.member);
  field(6, "s", call.destination);
  if (!call.signature.empty()) field(8, "g", call.signature);
  if (call.descriptors != 0) {
    out.pad(8);
    out.number(std::uint8_t{9});
    out.signature("u");
    out.number(call.descriptors);
  }
  out.end_array(fields);
  out.pad(8);
  out.raw(call.body.str());
  return out.str();
}

// What a connection says first: who it is, that it passes descriptors, and Hello.
inline std::string greeting() {
  std::string hex;
  for (const char c : std::to_string(::getuid())) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned>(c));
    hex += two;
  }
  const Call hello{"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", "", {}};
  return std::string(1, '\0') + "AUTH EXTERNAL " + hex + "\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n" + message(hello, 1);
}

}  // namespace bus_wire
