#include "ipc/http/token_response.h"

#include <algorithm>
#include <charconv>
#include <span>

#include "ipc/http/json_writer.h"
#include "ipc/names.h"

namespace credsync::ipc::http {
namespace {

// An escaped byte takes six at most ("\u001f"); names, times and punctuation stay below this.
constexpr std::size_t kEscaped = 6;
constexpr std::size_t kFixedRoom = 512;

std::size_t room_for(const TokenView& view) {
  std::size_t text = view.account.size() + 2 * view.access_token.size() + view.token_type.size() +
                     view.header_name.size() + view.header_prefix.size() + view.state.size();
  std::size_t items = 0;
  if (view.scope != nullptr) {
    for (const std::string& scope : *view.scope)
      text += scope.size(), ++items;
  }
  if (view.extra != nullptr) {
    for (const auto& [name, value] : *view.extra)
      text += name.size() + value.size(), ++items;
  }
  constexpr std::size_t kPunctuation = 8;
  return kFixedRoom + kEscaped * text + kPunctuation * items;
}

void write_header(JsonWriter& json, const TokenView& view) {
  WipedString value;
  value.text().reserve(view.header_prefix.size() + view.access_token.size());
  value.text().append(view.header_prefix).append(view.access_token);
  json.begin_object("header");
  json.text("name", view.header_name);
  json.text("value", value.text());
  json.end_object();
}

// The object up to the running members, without its end.
WipedString render_standing(const TokenView& view) {
  WipedString out;
  out.text().reserve(room_for(view));
  JsonWriter json(out.text());
  json.begin_object();
  json.text("account", view.account);
  json.text("access_token", view.access_token);
  json.text("token_type", view.token_type);
  json.time("expires_at", view.expires_at);
  json.begin_array("scope");
  if (view.scope != nullptr) {
    for (const std::string& scope : *view.scope)
      json.text(scope);
  }
  json.end_array();
  json.number("generation", view.generation);
  json.text("state", view.state);
  write_header(json, view);
  json.begin_object("extra");
  if (view.extra != nullptr) {
    for (const auto& [name, value] : *view.extra)
      json.text(name, value);
  }
  json.end_object();
  return out;
}

// The running members and the end of the object.
std::string_view render_running(const TokenView& view, std::span<char> room) {
  char* at = room.data();
  const auto put = [&](std::string_view text) { at = std::copy(text.begin(), text.end(), at); };
  put(R"(,"expires_in":)");
  if (view.expires_in) {
    at = std::to_chars(at, room.data() + room.size(), to_seconds(*view.expires_in)).ptr;
  } else {
    put("null");
  }
  put(view.min_valid_met ? R"(,"min_valid_met":true})" : R"(,"min_valid_met":false})");
  return {room.data(), static_cast<std::size_t>(at - room.data())};
}

}  // namespace

void write_token(WipedBuffer& out, const Framing& framing, const TokenView& view) {
  constexpr std::size_t kRunningRoom = 80;  // two member names, 20 digits, "false"
  char room[kRunningRoom];
  const std::string_view running = render_running(view, room);
  WipedString fresh;
  std::string_view standing = view.memo != nullptr ? view.memo->expose() : std::string_view();
  if (standing.empty()) {
    fresh = render_standing(view);
    standing = fresh.text();
    if (view.memo != nullptr) *view.memo = Secret(standing);
  }
  write_head(out, framing, {200, kJsonType, {}, {}}, standing.size() + running.size());
  out.append(standing);
  out.append(running);
}

}  // namespace credsync::ipc::http
