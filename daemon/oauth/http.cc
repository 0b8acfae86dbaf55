#include "daemon/oauth/http.h"

#include <algorithm>

#include "base/text.h"

namespace credsync::oauth {

bool same_header_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return lower(x) == lower(y); });
}

std::string_view HttpResponse::header(std::string_view name) const {
  for (const Header& header : headers) {
    if (same_header_name(header.name, name)) return header.value;
  }
  return {};
}

bool is_header_name(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  const auto fits = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kMarks.find(c) != kMarks.npos;
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), fits);
}

bool is_header_value(std::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
  });
}

Result<void> put_header(std::vector<Header>& headers, std::string_view name, std::string_view value) {
  if (!is_header_name(name)) return invalid("not a header name: " + clean_foreign_text(name));
  if (!is_header_value(value)) return invalid("header " + std::string(name) + ": its value holds a control character");
  for (Header& header : headers) {
    if (!same_header_name(header.name, name)) continue;
    wipe(header.value);
    header.value = value;
    return {};
  }
  headers.push_back({std::string(name), std::string(value)});
  return {};
}

}  // namespace credsync::oauth
