#include "ipc/dbus/message.h"

#include <fcntl.h>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace credsync::ipc::dbus {
namespace {

constexpr std::size_t kWordSize = 8;  // what a number or a container takes at most, padding included

}  // namespace

void Writer::check(int result, std::size_t bytes) {
  written_ += bytes;
  if (result < 0) failed_ = true;
}

void Writer::append(std::string_view value) {
  if (!good()) return;
  char* room = nullptr;
  const int r = ::sd_bus_message_append_string_space(message_, value.size(), &room);
  check(r, value.size() + kWordSize);
  if (r >= 0 && !value.empty()) std::memcpy(room, value.data(), value.size());
}

void Writer::text(std::string_view value) {
  is_utf8_text(value) ? append(value) : append(to_utf8_text(value));
}

void Writer::room_for(const WipedString& secret) {
  is_utf8_text(secret.text()) ? append(std::string(secret.text().size(), '-')) : check(-EINVAL, 0);
}

void Writer::u64(std::uint64_t value) {
  if (good()) check(::sd_bus_message_append_basic(message_, 't', &value), kWordSize);
}

void Writer::u32(std::uint32_t value) {
  if (good()) check(::sd_bus_message_append_basic(message_, 'u', &value), kWordSize);
}

void Writer::flag(bool value) {
  const int wire = value ? 1 : 0;
  if (good()) check(::sd_bus_message_append_basic(message_, 'b', &wire), kWordSize);
}

void Writer::open(char type, const char* contents) {
  if (good()) check(::sd_bus_message_open_container(message_, type, contents), kWordSize);
}

void Writer::close() {
  if (good()) check(::sd_bus_message_close_container(message_), 0);
}

void Writer::texts(const std::vector<std::string>& values) {
  array("s", [&] {
    for (const std::string& value : values)
      text(value);
  });
}

void Writer::text_pairs(const std::vector<std::pair<std::string, std::string>>& values) {
  array("{ss}", [&] {
    for (const auto& [name, value] : values) {
      open('e', "ss");
      text(name);
      text(value);
      close();
    }
  });
}

void Writer::entry(std::string_view key, const std::optional<Duration>& duration) {
  if (duration) entry(key, static_cast<std::uint64_t>(std::max<std::int64_t>(0, to_seconds(*duration))));
}

// --- reading ------------------------------------------------------------------------------------------------------

namespace {

template <typename T>
std::optional<T> read_basic(sd_bus_message* message, char type) {
  T value{};
  if (::sd_bus_message_read_basic(message, type, &value) <= 0) return std::nullopt;
  return value;
}

using Value = decltype(Option::value);

Value whole(std::int64_t value) {
  if (value < 0) return value;
  return static_cast<std::uint64_t>(value);
}

template <typename T, typename Wide>
std::optional<Value> read_whole(sd_bus_message* message, char type) {
  const auto value = read_basic<T>(message, type);
  if (!value) return std::nullopt;
  if constexpr (std::is_signed_v<Wide>) return whole(*value);
  return Value(static_cast<std::uint64_t>(*value));
}

std::optional<Value> read_value(sd_bus_message* message, Reader& reader, std::string_view signature, bool secret) {
  if (signature.size() != 1) return Value{};
  switch (signature.front()) {
    case 's': {
      if (secret) {
        auto value = reader.secret();
        if (!value) return std::nullopt;
        return Value(std::move(*value));
      }
      auto value = reader.text();
      if (!value) return std::nullopt;
      return Value(std::move(*value));
    }
    case 'b': {
      const auto value = reader.flag();
      if (!value) return std::nullopt;
      return Value(*value);
    }
    case 'y': return read_whole<std::uint8_t, std::uint64_t>(message, 'y');
    case 'q': return read_whole<std::uint16_t, std::uint64_t>(message, 'q');
    case 'u': return read_whole<std::uint32_t, std::uint64_t>(message, 'u');
    case 't': return read_whole<std::uint64_t, std::uint64_t>(message, 't');
    case 'n': return read_whole<std::int16_t, std::int64_t>(message, 'n');
    case 'i': return read_whole<std::int32_t, std::int64_t>(message, 'i');
    case 'x': return read_whole<std::int64_t, std::int64_t>(message, 'x');
    default: return Value{};
  }
}

}  // namespace

namespace {

// Takes what is read off `budget`; false when that is used up.
bool spend(sd_bus_message* message, std::size_t& budget) {
  char type = 0;
  const char* contents = nullptr;
  while (::sd_bus_message_peek_type(message, &type, &contents) > 0) {
    std::size_t size = kWordSize;
    if (contents != nullptr) {
      if (::sd_bus_message_enter_container(message, type, contents) <= 0) return false;
      if (!spend(message, budget) || ::sd_bus_message_exit_container(message) < 0) return false;
    } else if (type == 's' || type == 'o' || type == 'g') {
      const auto text = read_basic<const char*>(message, type);
      if (!text) return false;
      size += std::strlen(*text);
    } else if (::sd_bus_message_skip(message, nullptr) < 0) {
      return false;
    }
    if (size > budget) return false;
    budget -= size;
  }
  return true;
}

}  // namespace

bool Reader::is_within(std::size_t limit) {
  const bool within = spend(message_, limit);
  ::sd_bus_message_rewind(message_, 1);
  return within;
}

std::optional<std::string> Reader::text() {
  const auto value = read_basic<const char*>(message_, 's');
  if (!value || *value == nullptr) return std::nullopt;
  return std::string(*value);
}

std::optional<std::uint64_t> Reader::u64() {
  return read_basic<std::uint64_t>(message_, 't');
}

std::optional<std::uint32_t> Reader::u32() {
  return read_basic<std::uint32_t>(message_, 'u');
}

std::optional<bool> Reader::flag() {
  const auto value = read_basic<int>(message_, 'b');
  if (!value) return std::nullopt;
  return *value != 0;
}

bool Reader::put(const WipedString& secret) {
  const auto room = read_basic<char*>(message_, 's');
  if (!room || std::strlen(*room) != secret.text().size()) return false;
  std::memcpy(*room, secret.text().data(), secret.text().size());
  return true;
}

std::optional<Secret> Reader::secret() {
  const auto value = read_basic<char*>(message_, 's');
  if (!value || *value == nullptr) return std::nullopt;
  const std::size_t size = std::strlen(*value);
  Secret secret(std::string_view(*value, size));
  wipe(*value, size);  // the buffer is this process's own: sd-bus read the message into it
  return secret;
}

std::optional<std::vector<std::uint32_t>> Reader::u32s() {
  const void* values = nullptr;
  std::size_t bytes = 0;
  if (::sd_bus_message_read_array(message_, 'u', &values, &bytes) < 0) return std::nullopt;
  std::vector<std::uint32_t> all(bytes / sizeof(std::uint32_t));
  if (!all.empty()) std::memcpy(all.data(), values, bytes);
  return all;
}

std::optional<Descriptor> Reader::descriptor() {
  const auto value = read_basic<int>(message_, 'h');  // the message's own
  if (!value) return std::nullopt;
  return Descriptor(::fcntl(*value, F_DUPFD_CLOEXEC, 3));
}

bool Reader::enter(char type, const char* contents) {
  return ::sd_bus_message_enter_container(message_, type, contents) > 0;
}

bool Reader::leave() {
  return ::sd_bus_message_exit_container(message_) >= 0;
}

bool Reader::entries(const std::function<bool(std::string_view, std::string_view)>& visit) {
  if (!enter('a', "{sv}")) return false;
  while (enter('e', "sv")) {
    const auto key = read_basic<const char*>(message_, 's');
    char type = 0;
    const char* contents = nullptr;
    if (!key || ::sd_bus_message_peek_type(message_, &type, &contents) <= 0) return false;
    const std::string name(*key), signature(contents);
    if (!enter('v', signature.c_str())) return false;
    if (!visit(name, signature) && ::sd_bus_message_skip(message_, signature.c_str()) < 0) return false;
    if (!leave() || !leave()) return false;
  }
  return leave();
}

bool Reader::options(std::vector<Option>& out, std::string_view secret_name) {
  bool sound = true;
  const bool read = entries([&](std::string_view key, std::string_view signature) {
    if (out.size() == kMaxOptions || !sound) return sound = false;
    auto value = read_value(message_, *this, signature, key == secret_name);
    if (!value) return sound = false;
    const bool taken = !std::holds_alternative<std::monostate>(*value);
    out.push_back({std::string(key), std::move(*value)});
    return taken;
  });
  return read && sound;
}

}  // namespace credsync::ipc::dbus
