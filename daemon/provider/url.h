// Just enough of RFC 3986 to decide whether a URL may be talked to, and with whom. Pure; every input may be
// hostile.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace credsync::provider {

constexpr std::size_t kMaxUrlBytes = 2048;  // no endpoint is near it; servers cut at 4 to 8 KiB with the query

struct Url {
  std::string scheme;  // lower case
  std::string host;    // lower case, IPv6 without its brackets
  unsigned port = 0;   // the scheme's own if none was written
  std::string target;  // path and query, at least "/"
  bool ipv6 = false;
  bool has_query = false;
};

// An absolute http or https URL without user information and fragment. Words of an error never repeat the
// URL's query.
Result<Url> parse_url(std::string_view text);

// 127.0.0.0/8, ::1 or "localhost".
bool is_loopback(const Url& url);

// As parse_url, and https, or http to loopback when `allow_http_loopback`.
Result<Url> check_endpoint_url(std::string_view text, bool allow_http_loopback);

// scheme://host[:port], the port left out when it is the scheme's own. What identity of a grant is tied to.
std::string origin_of(const Url& url);

}  // namespace credsync::provider
