// A request as the bytes that go over the wire (RFC 9112). Pure.
#pragma once

#include "base/result.h"
#include "daemon/oauth/endpoint_url.h"
#include "daemon/oauth/http.h"

namespace credsync::oauth {

// Head and body in one piece, so that they leave in one write. Host, Content-Length, Accept-Encoding:
// identity and (if there is none) User-Agent are added. Refuses a method or header that would break out of
// its line, and the headers that are the transport's own.
Result<WipedString> write_request(const HttpRequest& request, const EndpointUrl& url);

}  // namespace credsync::oauth
