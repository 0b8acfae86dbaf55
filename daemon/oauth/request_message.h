// A request as the bytes that go over the wire (RFC 9112). Pure.
#pragma once

#include "base/result.h"
#include "daemon/oauth/endpoint_url.h"
#include "daemon/oauth/http.h"

namespace credsync::oauth {

// Head and body in one piece, so that they leave in one write. Host, Content-Length, Accept-Encoding: identity and (if
// there is none) User-Agent are added. Refuses a method or header that would break out of its line, and the headers
// that are the transport's own.
Result<WipedString> write_request(const HttpRequest& request, const EndpointUrl& url);

// RFC 9110, 5.6.2.
bool is_token(std::string_view text);
// A field value without CR, LF, NUL and other controls (RFC 9110, 5.5).
bool is_field_value(std::string_view text);
bool same_name(std::string_view a, std::string_view b);   // without case

}  // namespace credsync::oauth
