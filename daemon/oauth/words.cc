#include "daemon/oauth/words.h"

#include <algorithm>

#include "base/encoding.h"

namespace credsync::oauth {

Redactor::Redactor(std::span<const std::string_view> secrets) {
  encoded_.reserve(secrets.size() * 3);  // views into it must stay
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
  }
  std::stable_sort(forms_.begin(), forms_.end(), [](auto a, auto b) { return a.size() > b.size(); });
}

std::string Redactor::clean(std::string_view foreign, std::size_t limit) const {
  // First without what is not shown: a control character inside an echoed secret must not hide it.
  std::string visible = clean_foreign_text(foreign, {}, foreign.size());
  std::string shown = clean_foreign_text(visible, forms_, limit);
  wipe(visible);
  return shown;
}

}  // namespace credsync::oauth
