#include "daemon/oauth/lifetime.h"

#include <time.h>

#include <algorithm>
#include <cmath>

#include "base/encoding.h"
#include "base/mutation.h"
#include "daemon/oauth/rate_limit.h"
#include "daemon/oauth/token_answer.h"

namespace credsync::oauth {
namespace {

constexpr std::string_view kRefreshLifeNames[] = {"refresh_token_expires_in", "refresh_expires_in",
                                                  "x_refresh_token_expires_in"};
// An epoch above it is in milliseconds: as seconds it is the year 33658.
constexpr double kEpochMilliseconds = 1e12;

// A lifetime in the answer's unit; 0 and less mean unknown (design section 6).
std::optional<Duration> read_life(const JsonValue* value, provider::TimeUnit unit) {
  const auto number = value == nullptr ? std::nullopt : value->as_number();
  if (!number || !(*number > 0)) return std::nullopt;
  return to_duration(unit == provider::TimeUnit::kMilliseconds ? *number / 1000 : *number);
}

std::optional<WallTime> read_moment(const JsonValue* value) {
  if (value == nullptr) return std::nullopt;
  if (const auto number = value->as_number()) {
    if (!(*number > 0)) return std::nullopt;
    return WallTime(to_duration(*number > kEpochMilliseconds ? *number / 1000 : *number));
  }
  return value->kind() == JsonValue::Kind::kString ? parse_rfc3339(value->text()) : std::nullopt;
}

// A new token that had ended already when it was made contradicts itself: a clock is wrong, and the next source may know
// better. One that may have ended on its way is over, and does not live for ever.
std::optional<WallTime> plausible_end(std::optional<WallTime> theirs, const HttpResponse& response) {
  if (!theirs) return std::nullopt;
  const WallTime made = parse_http_date(response.header("Date")).value_or(response.received_at);
  return *theirs > made ? std::optional(to_our_clock(*theirs, response)) : std::nullopt;
}

std::optional<WallTime> declared_end(const provider::Answer& rules, const HttpResponse& response,
                                     const JsonValue& answer, const JsonValue& object) {
  if (rules.expires_at.empty()) return std::nullopt;
  const JsonValue* value = object.at(rules.expires_at);
  return plausible_end(read_moment(value != nullptr ? value : answer.at(rules.expires_at)), response);
}

}  // namespace

Duration to_duration(double seconds) {
  constexpr double kMost = static_cast<double>(unix_seconds(kWallMax));
  if (std::isnan(seconds)) return Duration::zero();
  return Duration(static_cast<std::int64_t>(std::clamp(seconds, -kMost, kMost) * 1e6));
}

const JsonValue* find_field(const provider::Answer& answer, const JsonValue& object, std::string_view name) {
  const auto mapped = answer.fields.find(std::string(name));
  const JsonValue* value = object.at(mapped == answer.fields.end() ? name : std::string_view(mapped->second));
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<JsonValue> jwt_payload(std::string_view token) {
  const std::size_t first = token.find('.');
  const std::size_t second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos) return std::nullopt;
  auto decoded = decode_base64url(token.substr(first + 1, second - first - 1));
  if (!decoded) return std::nullopt;
  const WipedString payload(std::move(*decoded));
  auto value = JsonValue::parse(payload.text());
  return value && value->is_object() ? std::move(value) : std::nullopt;
}

std::optional<WallTime> jwt_expiry(std::string_view token) {
  const auto payload = jwt_payload(token);
  return payload ? read_moment(payload->member("exp")) : std::nullopt;
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
  constexpr std::size_t kSeconds = 19;  // 2026-01-31T23:59:59
  if (text.size() <= kSeconds || text.size() > 40) return std::nullopt;
  std::string moment(text.substr(0, kSeconds));
  if (moment[10] == ' ' || moment[10] == 't') moment[10] = 'T';
  std::tm parts{};
  const char* end = ::strptime(moment.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  std::string_view rest = text.substr(kSeconds);
  if (rest.starts_with('.')) rest.remove_prefix(std::min(rest.find_first_not_of("0123456789", 1), rest.size()));
  const WallTime utc = std::min(wall_from_seconds(::timegm(&parts)), kWallMax);  // a leap second may lie behind it
  if (rest == "Z" || rest == "z") return utc;
  const auto digit = [&](std::size_t i) { return rest[i] >= '0' && rest[i] <= '9' ? rest[i] - '0' : -100000; };
  if (rest.size() != 6 || (rest[0] != '+' && rest[0] != '-') || rest[3] != ':') return std::nullopt;
  const int minutes = (digit(1) * 10 + digit(2)) * 60 + digit(4) * 10 + digit(5);
  if (minutes < 0 || minutes >= 24 * 60) return std::nullopt;
  return saturating_add(utc, std::chrono::minutes(rest[0] == '+' ? -minutes : minutes));
}

WallTime to_our_clock(WallTime theirs, const HttpResponse& response) {
  const auto date = parse_http_date(response.header("Date"));
  if (!date) return theirs;
  // Date was written between sending and receipt, and drops the fraction of its second.
  return saturating_add(theirs, response.sent_at - (*date + 1s));
}

std::optional<WallTime> access_token_end(const provider::Profile& profile, const HttpResponse& response,
                                         const JsonValue& answer, const JsonValue& object,
                                         std::string_view access_token) {
  const provider::Answer& rules = profile.answer;
  if (const auto life = read_life(find_field(rules, object, "expires_in"), rules.expires_unit)) {
    return saturating_add(mutated(Mutation::kLifeFromReceipt) ? response.received_at : response.sent_at, *life);
  }
  if (const auto end = declared_end(rules, response, answer, object)) return end;
  if (rules.jwt_expiry) {
    if (const auto end = plausible_end(jwt_expiry(access_token), response)) return end;
  }
  if (rules.default_lifetime) return saturating_add(response.sent_at, *rules.default_lifetime);
  return std::nullopt;
}

std::optional<WallTime> refresh_token_end(const provider::Profile& profile, const HttpResponse& response,
                                          const JsonValue& object) {
  for (const std::string_view name : kRefreshLifeNames) {
    const auto life = read_life(find_field(profile.answer, object, name), profile.answer.expires_unit);
    if (life) return saturating_add(response.sent_at, *life);
  }
  return std::nullopt;
}

}  // namespace credsync::oauth
