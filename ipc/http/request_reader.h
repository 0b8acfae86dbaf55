// Reads one HTTP/1 request (RFC 9112) from bytes as they come, by Boost.Beast's parser, and refuses what that
// parser lets through. Bounded: header, body, and all bytes of a request together. Loop only, one request at
// a time.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "ipc/http/request.h"
#include "ipc/service.h"

namespace credsync::ipc::http {

// Request line and header. The longest a client of ours sends is under 1 KiB.
inline constexpr std::size_t kHeaderLimit = 8 * 1024;
// The body; the largest is a pasted token.
inline constexpr std::size_t kBodyLimit = 64 * 1024;
// All bytes of a request, so that chunk headers and trailers are bounded too.
inline constexpr std::size_t kRequestLimit = kHeaderLimit + 2 * kBodyLimit;

struct ReaderLimits {
  std::size_t header = kHeaderLimit;
  std::size_t body = kBodyLimit;
  std::size_t request = kRequestLimit;
};

class RequestReader {
 public:
  enum class State { kPartial, kWhole, kRefused };

  explicit RequestReader(const ReaderLimits& limits = {});
  ~RequestReader();

  // Takes bytes of the current request and returns how many it used; the caller gives the others again, with
  // more behind them. Not to be called again once the state is not kPartial.
  std::size_t feed(std::string_view bytes);

  State state() const;
  const Request& request() const;  // when kWhole; views live until reset()
  const Problem& refusal() const;  // when kRefused
  // Once true: the client waits for "100 Continue" before it sends the body (RFC 9110, 10.1.1).
  bool take_expectation();

  // Ready for the next request; what was read is wiped.
  void reset();

 private:
  struct Message;
  std::unique_ptr<Message> message_;
};

}  // namespace credsync::ipc::http
