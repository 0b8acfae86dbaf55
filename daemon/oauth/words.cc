#include "daemon/oauth/words.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/mutation.h"

namespace credsync::oauth {

namespace {

// As a sloppy server's echo looks after json_repair: raw control characters in a text have become U+FFFD.
std::string as_mended(std::string_view secret) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string out;
  out.reserve(secret.size() * kReplacement.size());
  for (const char c : secret) {
    if (static_cast<unsigned char>(c) < 0x20)
      out += kReplacement;
    else
      out += c;
  }
  return out;
}

}  // namespace

Redactor::Redactor(std::span<const std::string_view> secrets) {
  encoded_.reserve(secrets.size() * 4);  // views into it must stay
  for (const std::string_view secret : secrets) {
    forms_.push_back(secret);
    const auto add = [&](std::string form) {
      if (form == secret) return wipe(form);
      encoded_.emplace_back(std::move(form));
      forms_.push_back(encoded_.back().text());
    };
    add(encode_form(secret));
    add(encode_percent(secret));
    // What is never shown has left an echo before secrets are looked for in it.
    add(clean_foreign_text(secret, {}, secret.size()));
    const WipedString mended(as_mended(secret));
    add(clean_foreign_text(mended.text(), {}, mended.text().size()));
  }
  std::stable_sort(forms_.begin(), forms_.end(), [](auto a, auto b) { return a.size() > b.size(); });
}

std::string Redactor::clean(std::string_view foreign, std::size_t limit) const {
  // First without what is not shown: a control character inside an echoed secret must not hide it.
  std::string visible = clean_foreign_text(foreign, {}, foreign.size());
  if (mutated(Mutation::kEchoSecrets)) return clean_foreign_text(visible, {}, limit);
  std::string shown = clean_foreign_text(visible, forms_, limit);
  wipe(visible);
  return shown;
}

}  // namespace credsync::oauth
