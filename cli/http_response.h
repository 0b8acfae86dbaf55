// Reads one HTTP/1.1 response (RFC 9112) from bytes as they come: status line, header, and a body framed by
// Content-Length, by chunks, or by the end of the connection. Pure, bounded, and strict: whatever is
// ambiguous is a Failure, since a peer that frames badly is not our daemon.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "cli/failure.h"

namespace credsync::cli {

class ResponseReader {
 public:
  // Bodies longer than `max_body` bytes are a Failure. For a stream, which never ends, this bounds what lies
  // untaken.
  explicit ResponseReader(std::size_t max_body) : max_body_(max_body) {}
  ~ResponseReader();
  ResponseReader(const ResponseReader&) = delete;
  ResponseReader& operator=(const ResponseReader&) = delete;

  // Takes the next bytes of the connection. What follows a complete response is ignored: connections are not
  // reused.
  Outcome<void> feed(std::string_view bytes);
  // The peer closed: completes a body that ends so, else a Failure.
  Outcome<void> end();

  bool has_head() const { return state_ != State::kHead; }
  bool complete() const { return state_ == State::kDone; }
  int status() const { return status_; }
  // The first header of that name (lower case), or empty.
  std::string_view header(std::string_view name) const;
  // Moves out what was decoded of the body so far; the rest follows with later bytes.
  std::string take_body();

 private:
  enum class State { kHead, kLength, kToEnd, kChunkSize, kChunk, kChunkEnd, kTrailer, kDone };

  Outcome<void> step();
  Outcome<void> read_head();
  Outcome<void> parse_status_line(std::string_view line);
  Outcome<void> parse_header_line(std::string_view line);
  Outcome<void> choose_framing();
  Outcome<void> read_body_bytes();
  Outcome<void> read_chunk_size();
  Outcome<void> read_chunk_end();
  Outcome<void> read_trailer();
  Outcome<void> append(std::size_t count);
  // The next line without CRLF, if it is whole; `limit` bounds how much may be buffered for it.
  Outcome<bool> next_line(std::string_view& line, std::size_t limit);
  std::string_view pending() const { return std::string_view(buffer_).substr(at_); }

  const std::size_t max_body_;
  State state_ = State::kHead;
  std::string buffer_;
  std::size_t at_ = 0;  // what of buffer_ was read
  int status_ = 0;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::size_t left_ = 0;      // of this body or chunk
  std::size_t interims_ = 0;  // 1xx answers seen
  std::size_t trailer_ = 0;   // bytes of trailer seen
  std::string body_;
};

}  // namespace credsync::cli
