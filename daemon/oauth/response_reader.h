// Reads one HTTP/1.x answer (RFC 9112) from bytes as they come, within bounds, and knows whether it is whole.
// Pure: no I/O, every input is hostile. Poco's session is not used for this: it swallows errors in bodies,
// takes a chunked body that breaks off for a whole one, has no bound on repeated 100 Continue, and leaves
// copies of bodies in pooled buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/oauth/http.h"
#include "daemon/oauth/socket_patience.h"

namespace credsync::oauth {

constexpr std::size_t kMaxHeaderFields = 100;  // real answers have 10 to 40
constexpr std::size_t kMaxChunkLine = 256;     // a size and extensions nobody uses
// Sizes and line ends of chunks: a server that sends every byte as its own chunk needs 5 more bytes for each.
constexpr std::size_t kMaxChunkFraming = 8 * 64 * 1024;

class ResponseReader {
 public:
  // `method` of the request: an answer to HEAD or CONNECT has no body.
  explicit ResponseReader(std::string_view method);
  ~ResponseReader();
  ResponseReader(const ResponseReader&) = delete;
  ResponseReader& operator=(const ResponseReader&) = delete;

  // kProtocol or kTooLarge. Bytes beyond the end of the answer are counted as leftover.
  Outcome<void> feed(std::string_view bytes);
  // The stream has ended in an orderly way. kReset if the answer is not whole.
  Outcome<void> end_of_stream();

  bool done() const { return state_ == State::kDone; }
  // Any byte seen, 1xx answers included.
  bool begun() const { return header_bytes_ != 0; }
  // The connection may carry another request: HTTP/1.1, self-delimited, no "close", nothing after the end.
  bool keeps_alive() const;
  bool has_leftover() const { return leftover_; }
  // The answer; once, when done. The times are left to the caller.
  HttpResponse take();

 private:
  enum class State { kHead, kLength, kChunkSize, kChunkData, kChunkEnd, kTrailer, kUntilEnd, kDone };

  Outcome<void> take_head(std::string_view& bytes);
  Outcome<void> end_head();
  Outcome<void> read_status_line(std::string_view line);
  Outcome<void> read_field(std::string_view line);
  Outcome<void> choose_body();
  Outcome<void> take_body(std::string_view& bytes, std::size_t limit);
  Outcome<void> take_chunk_line(std::string_view& bytes);
  Outcome<void> end_chunk_line();
  // Moves bytes up to and with a line feed into line_; true when the line is whole (its end cut off).
  bool take_line(std::string_view& bytes);
  bool lists(std::string_view header, std::string_view word) const;

  State state_ = State::kHead;
  bool bodyless_ = false;
  bool http_1_1_ = false;
  bool delimited_ = true;  // by a length or chunks, not by the end of the stream
  bool leftover_ = false;
  bool in_status_line_ = true;
  std::size_t header_bytes_ = 0;  // over all 1xx answers and trailers
  std::size_t framing_bytes_ = 0;
  std::size_t remaining_ = 0;  // of the body or the chunk
  std::string line_;
  HttpResponse response_;
};

}  // namespace credsync::oauth
