// The bodies of D-Bus messages: written and read with libsystemd on a message that the adapter in bus.cc holds. Nothing
// here throws, and no secret passes through memory that is not wiped. Loop only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/secret.h"
#include "base/time.h"

struct sd_bus_message;

namespace credsync::ipc::dbus {

// A broker lets each user have so much under way that larger answers endanger the whole connection: dbus-broker 16 MiB,
// of which one receiver gets a part; dbus-daemon closes the connection of whoever sends a message over its limit.
inline constexpr std::size_t kMaxBody = std::size_t{4} << 20;

// Appends to a message under construction. The first failure sticks; what comes after it is ignored.
class Writer {
 public:
  explicit Writer(sd_bus_message* message) : message_(message) {}

  // Broken UTF-8 becomes U+FFFD and NUL is dropped: a broker ends the connection of whoever sends either.
  void text(std::string_view value);
  // Room for a text that Reader::put fills in when the message is composed: sd-bus moves a body that grows, and leaves what
  // was there in memory. A secret that is no UTF-8 is a failure: it must arrive as it is or not at all.
  void room_for(const WipedString& secret);
  void u64(std::uint64_t value);
  void u32(std::uint32_t value);
  void flag(bool value);
  void texts(const std::vector<std::string>& values);                               // as
  void text_pairs(const std::vector<std::pair<std::string, std::string>>& values);  // a{ss}

  // Containers, with the signature of what they hold. `body` writes it.
  template <typename Body>
  void array(const char* element, Body body) {
    begin_array(element);
    body();
    end_array();
  }
  // One that is written in parts.
  void begin_array(const char* element) { open('a', element); }
  void end_array() { close(); }
  template <typename Body>
  void structure(const char* members, Body body) {
    open('r', members);
    body();
    close();
  }

  // One entry of an a{sv}; `write` appends the value of that signature.
  template <typename Write>
  void entry(std::string_view key, const char* signature, Write write) {
    open('e', "sv");
    text(key);
    open('v', signature);
    write();
    close();
    close();
  }
  void entry(std::string_view key, std::string_view value) {
    entry(key, "s", [&] { text(value); });
  }
  void entry(std::string_view key, const char* value) { entry(key, std::string_view(value)); }
  void entry(std::string_view key, std::uint64_t value) {
    entry(key, "t", [&] { u64(value); });
  }
  void entry(std::string_view key, bool value) {
    entry(key, "b", [&] { flag(value); });
  }
  void entry(std::string_view key, const std::vector<std::string>& values) {
    entry(key, "as", [&] { texts(values); });
  }
  // Microseconds since 1970; no entry where there is no moment.
  void entry(std::string_view key, const std::optional<WallTime>& moment) {
    if (moment) entry(key, static_cast<std::uint64_t>(moment->time_since_epoch().count()));
  }
  // Whole seconds, at least 0.
  void entry(std::string_view key, const std::optional<Duration>& duration);

  bool good() const { return !failed_ && written_ <= kMaxBody; }
  bool too_large() const { return written_ > kMaxBody; }

 private:
  void open(char type, const char* contents);
  void close();
  void check(int result, std::size_t bytes);
  void append(std::string_view value);

  sd_bus_message* message_;
  std::size_t written_ = 0;
  bool failed_ = false;
};

// One entry of an a{sv} that somebody sent: std::monostate stands for a type that no option has.
struct Option {
  std::string name;
  std::variant<std::monostate, bool, std::uint64_t, std::int64_t, std::string, Secret> value;
};

// Reads what came, in order. A `false` or nothing means that the message holds something else there.
class Reader {
 public:
  explicit Reader(sd_bus_message* message) : message_(message) {}

  // Whether all of it is less than `limit` bytes; to be asked first. A broker lets messages of 32 MiB through.
  bool is_within(std::size_t limit);

  std::optional<std::string> text();
  std::optional<std::uint64_t> u64();
  std::optional<std::uint32_t> u32();
  std::optional<bool> flag();
  // Into the room that is next in a composed message; of the same size.
  bool put(const WipedString& secret);
  // Wipes the message's own copy of it.
  std::optional<Secret> secret();
  std::optional<std::vector<std::uint32_t>> u32s();
  std::optional<Descriptor> descriptor();  // a duplicate

  // a{sv}: `visit` gets each key with the reader at its value, whose signature it is told, and says whether it took it.
  bool entries(const std::function<bool(std::string_view key, std::string_view signature)>& visit);
  // a{sv} as options, at most kMaxOptions; those named in `secrets` become Secrets.
  bool options(std::vector<Option>& out, std::string_view secret_name = {});
  bool enter(char type, const char* contents);
  bool leave();

 private:
  sd_bus_message* message_;
};

// No method knows as many.
inline constexpr std::size_t kMaxOptions = 32;

}  // namespace credsync::ipc::dbus
