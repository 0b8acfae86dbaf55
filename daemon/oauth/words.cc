#include "daemon/oauth/words.h"

#include <algorithm>

#include "base/encoding.h"

namespace credsync::oauth {

Redactor::Redactor(std::span<const std::string_view> secrets) {
  encoded_.reserve(secrets.size() * 2);  // views into it must stay
  for (const std::string_view secret : secrets) {
    forms_.push_back(secret);
    for (auto* encode : {&encode_form, &encode_percent}) {
      std::string form = encode(secret);
      if (form == secret) continue;
      encoded_.emplace_back(std::move(form));
      forms_.push_back(encoded_.back().text());
    }
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
