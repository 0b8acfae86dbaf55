// One HTTP request as it came over the wire, framing undone. Views live until the reader that gave them is
// reset.
#pragma once

#include <string_view>

namespace credsync::ipc::http {

struct Request {
  std::string_view method;
  std::string_view target;
  std::string_view body;
  std::string_view host;    // empty: there was none (HTTP/1.0)
  std::string_view origin;  // of the page whose script or form asks (RFC 6454, 7); empty: not said
  bool http_1_1 = true;
  bool keep_alive = true;  // what the client asks for (RFC 9112, 9.3)
};

}  // namespace credsync::ipc::http
