// HTTP responses (RFC 9112) and problem documents (RFC 9457), written into the buffer that goes to the
// socket. Pure. Every answer forbids caching. There is no Date: both ends read the same clock, and refusals
// stay the same bytes.
#pragma once

#include <string_view>

#include "ipc/http/wiped_buffer.h"
#include "ipc/service.h"

namespace credsync::ipc::http {

// How the request came, which decides how its answer is framed.
struct Framing {
  bool http_1_1 = true;
  bool keep_alive = true;
  bool head_only = false;  // an answer to HEAD has no body (RFC 9110, 9.3.2)
};

// Said with `busy` and `unavailable` when nobody knows better.
inline constexpr Duration kBusyRetryAfter = 1s;
inline constexpr Duration kUnavailableRetryAfter = 5s;
inline constexpr Duration kStoppingRetryAfter = 1s;  // a restart takes about that

struct ResponseHead {
  int status = 200;
  std::string_view content_type;
  std::string_view allow;
  std::optional<Duration> retry_after;
  std::string_view location{};  // of what was made (RFC 9110, 10.2.2)
};

// Status line and header; the body's size is known.
void write_head(WipedBuffer& out, const Framing& framing, const ResponseHead& head, std::size_t content_length);
void write_response(WipedBuffer& out, const Framing& framing, const ResponseHead& head, std::string_view body);
void write_json(WipedBuffer& out, const Framing& framing, std::string_view body);

void write_problem(WipedBuffer& out, const Framing& framing, const Problem& problem, std::string_view allow = {});
// What callers are told while the daemon drains.
Problem stopping_problem();
// The name of a problem on the wire: "urn:credsync:error:…".
std::string problem_type(ProblemKind kind);
// 404 for a path that nobody knows; RFC 9457, 4.2.1 ("about:blank"), for it is no problem of an account.
void write_no_such_path(WipedBuffer& out, const Framing& framing);

// The head of a stream of server-sent events, which ends with the connection.
void write_stream_head(WipedBuffer& out);

void write_continue(WipedBuffer& out);

}  // namespace credsync::ipc::http
