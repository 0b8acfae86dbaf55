// The small things that everything else rests on: text made fit to be shown, JSON strings, encodings, durations, names.
#include "base/text.h"

#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/time.h"
#include "daemon/oauth/words.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

void check_cleaning(std::string_view text) {
  static const std::vector<std::string_view> secrets{kCanary, kOddCanary};
  const std::string shown = clean_foreign_text(text, secrets);
  HOLDS(is_fit_to_show(shown) && shown.size() <= kForeignTextLimit);
  HOLDS(shown.find(kCanary) == shown.npos);
  HOLDS(clean_foreign_text(shown) == shown);
  const oauth::Redactor redactor(secrets);
  const std::string said = redactor.clean(text);
  HOLDS(is_fit_to_show(said) && said.size() <= kForeignTextLimit && !shows_either_canary(said));
}

void check_json_string(std::string_view text) {
  const std::string written = json_string(text);
  const auto read = nlohmann::json::parse(written, nullptr, false);
  HOLDS(read.is_string());
  HOLDS(!is_utf8_text(text) || read.get_ref<const std::string&>() == text);
  const std::string mended = to_utf8_text(text);
  HOLDS(is_utf8_text(mended) && to_utf8_text(mended) == mended);
  HOLDS(!is_utf8_text(text) || mended == text);
}

// Decoders refuse what is not exactly the encoding: what they take is what the encoder writes.
void check_encodings(std::string_view text) {
  HOLDS(decode_base64(encode_base64(text)) == text);
  HOLDS(decode_base64url(encode_base64url(text)) == text);
  HOLDS(decode_percent(encode_percent(text), false) == text);
  HOLDS(decode_percent(encode_form(text), true) == text);
  if (const auto bytes = decode_base64(text)) HOLDS(encode_base64(*bytes) == text);
  if (const auto bytes = decode_base64url(text)) {
    const std::string again = encode_base64url(*bytes);
    HOLDS(text.starts_with(again) && text.find_first_not_of('=', again.size()) == text.npos);
    HOLDS(text.size() == again.size() || text.size() % 4 == 0);
  }
}

void check_durations(std::string_view text) {
  const auto span = parse_duration(text);
  if (!span) {
    HOLDS(is_fit_to_show(span.error().message()));
    return;
  }
  HOLDS(*span >= Duration::zero() && *span <= days(100 * 366));
  const auto again = parse_duration(to_text(*span));
  HOLDS(again && *again == *span);
}

void check_names(std::string_view text) {
  if (is_account_name(text)) HOLDS(!text.empty() && text.size() <= 64 && text.find('/') == text.npos);
  if (is_unit_name(text)) HOLDS(text.size() <= 255 && text.find('/') == text.npos && is_fit_to_show(text));
  static constexpr std::string_view kKnown[] = {"client_id", "client_secret", "scopes"};
  const std::string_view near = nearest_word(text, kKnown);
  HOLDS(near.empty() || std::find(std::begin(kKnown), std::end(kKnown), near) != std::end(kKnown));
}

}  // namespace

void run(Input input) {
  const std::string text = with_canaries(input.rest());
  check_cleaning(text);
  check_json_string(text);
  check_encodings(input.rest());
  check_durations(text);
  check_names(text);
}
