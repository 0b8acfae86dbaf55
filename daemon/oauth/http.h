// An HTTP request and its answer as values, and what became of an exchange. No I/O here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace credsync::oauth {

struct Header {
  std::string name;
  std::string value;  // may carry a credential (Authorization): wiped with the request
};

struct HttpRequest {
  std::string method = "POST";
  std::string url;              // absolute https:// (http:// on loopback only where the account allows it); may carry
                                // secrets in its query
  std::vector<Header> headers;  // validated: no CR, LF or NUL. Host and Content-Length are the transport's
  WipedString body;

  HttpRequest() = default;
  HttpRequest(HttpRequest&&) = default;
  HttpRequest& operator=(HttpRequest&&) = default;
  ~HttpRequest() {
    wipe(url);
    for (Header& header : headers)
      wipe(header.value);
  }
};

struct HttpResponse {
  int status = 0;
  std::vector<Header> headers;  // in order, names as received
  WipedString body;
  WallTime sent_at;  // when the request's first byte was about to leave
  WallTime received_at;
  std::optional<WallTime> certificate_ends;  // of the server's own certificate; none without TLS

  // The first header of that name, compared without case; empty if there is none.
  std::string_view header(std::string_view name) const;
};

// Compared without case (RFC 9110, 5.1).
bool same_header_name(std::string_view a, std::string_view b);
// A token of RFC 9110, 5.6.2.
bool is_header_name(std::string_view name);
// No control character but a tab: nothing can start another line.
bool is_header_value(std::string_view value);
// Adds the header or replaces the one of that name. Error: a name or value that cannot be sent.
Result<void> put_header(std::vector<Header>& headers, std::string_view name, std::string_view value);

// Why there is no answer. `sent` is what decides whether repeating is safe.
enum class TransportFault {
  kResolve,
  kConnect,
  kHandshake,
  kUntrusted /* certificate does not verify */,
  kDeadline,
  kTooLate /* ExchangeOptions::send_before came first */,
  kReset,
  kProtocol /* not HTTP */,
  kTooLarge,
  kProxy,
  kBadRequest /* ours: bad URL, CA file unreadable */,
  kSecretSource /* a secret could not be read */,
};

struct TransportError {
  TransportFault fault = TransportFault::kConnect;
  bool sent = false;  // at least one byte of the request was accepted by the connection
  std::string words;  // cleaned, without secrets
};

}  // namespace credsync::oauth
