#include "daemon/oauth/device_answer.h"

#include <algorithm>

#include "daemon/oauth/answer_body.h"
#include "daemon/oauth/error_rules.h"
#include "daemon/oauth/lifetime.h"
#include "daemon/provider/url.h"

namespace credsync::oauth {
namespace {

constexpr std::size_t kMaxDeviceCodeBytes = 4096;
constexpr std::size_t kMaxUserCodeBytes = 64;  // a person types it
constexpr Duration kShortestLife = 30s;
constexpr Duration kLongestLife = 1h;
constexpr double kUsualLifeSeconds = 600;  // where expires_in, which is required, is missing
constexpr Duration kShortestInterval = 1s;
constexpr Duration kLongestInterval = 60s;
constexpr double kUsualIntervalSeconds = 5;  // RFC 8628, 3.2

const JsonValue* first_field(const provider::Answer& rules, const JsonValue& object, std::string_view name,
                             std::string_view other) {
  const JsonValue* value = find_field(rules, object, name);
  return value != nullptr || other.empty() ? value : find_field(rules, object, other);
}

std::string_view text_of(const JsonValue* value) {
  return value != nullptr && value->kind() == JsonValue::Kind::kString ? value->text() : std::string_view();
}

// Shown on a terminal and opened in a browser: nothing but a web address. Empty if it is none.
std::string web_address(const JsonValue* value) {
  const std::string_view text = text_of(value);
  return provider::parse_url(text) ? std::string(text) : std::string();
}

double seconds_of(const JsonValue* value, double usual) {
  const double seconds = value != nullptr ? value->as_number().value_or(usual) : usual;
  return seconds > 0 ? seconds : usual;
}

bool is_code(std::string_view text, std::size_t longest) {
  return !text.empty() && text.size() <= longest &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

std::variant<DeviceAnswer, Failure> read_device_answer(const provider::Profile& profile, const HttpResponse& response,
                                                       const Asked& asked) {
  const provider::Answer& rules = profile.answer;
  const AnswerBody body = read_answer_body(response, rules.format);
  const JsonValue* root = body.value.at(rules.root);
  const JsonValue& object = root != nullptr && root->is_object() ? *root : body.value;
  const std::string_view code = text_of(find_field(rules, object, "device_code"));
  DeviceAnswer answer;
  answer.user_code = clean_foreign_text(text_of(find_field(rules, object, "user_code")), {}, kMaxUserCodeBytes + 1);
  answer.verification_uri = web_address(first_field(rules, object, "verification_uri", "verification_url"));
  answer.verification_uri_complete =
      web_address(first_field(rules, object, "verification_uri_complete", "verification_url_complete"));
  const bool good = response.status >= 200 && response.status < 300 && is_code(code, kMaxDeviceCodeBytes) &&
                    !answer.user_code.empty() && answer.user_code.size() <= kMaxUserCodeBytes &&
                    !answer.verification_uri.empty();
  if (!good) {
    Failure failure = classify_answer(profile, response, body, asked.kind, Redactor(asked.secrets));
    if (failure.failure_class == FailureClass::kNoToken) {
      failure.failure_class = FailureClass::kRefused;
      failure.words = "the provider's answer lacks a device code, a user code or a web address to enter it at";
    }
    return failure;
  }
  answer.device_code = Secret(code);
  const double life = seconds_of(find_field(rules, object, "expires_in"), kUsualLifeSeconds);
  const double interval = seconds_of(find_field(rules, object, "interval"), kUsualIntervalSeconds);
  answer.expires_in = std::clamp(to_duration(life), kShortestLife, kLongestLife);
  answer.interval = std::clamp(to_duration(interval), kShortestInterval, kLongestInterval);
  return answer;
}

}  // namespace credsync::oauth
