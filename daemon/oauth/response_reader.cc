#include "daemon/oauth/response_reader.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "daemon/oauth/transport.h"

namespace credsync::oauth {
namespace {

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t'))
    text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t'))
    text.remove_suffix(1);
  return text;
}

tl::unexpected<TransportError> malformed(std::string_view what) {
  return failed(TransportFault::kProtocol, "the answer is not HTTP: " + std::string(what));
}

tl::unexpected<TransportError> too_large(std::string_view what) {
  return failed(TransportFault::kTooLarge, "the answer's " + std::string(what) + " is too large");
}

// Digits only, all of them: no sign, no space, no overflow.
std::optional<std::size_t> parse_size(std::string_view text, int base) {
  std::size_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

ResponseReader::ResponseReader(std::string_view method) : bodyless_(method == "HEAD" || method == "CONNECT") {}

ResponseReader::~ResponseReader() {
  wipe(line_);
  for (Header& header : response_.headers)
    wipe(header.value);  // a Location may carry a token
}

Outcome<void> ResponseReader::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    Outcome<void> step;
    switch (state_) {
      case State::kHead:
      case State::kTrailer: step = take_head(bytes); break;
      case State::kLength:
      case State::kChunkData: step = take_body(bytes, remaining_); break;
      case State::kUntilEnd: step = take_body(bytes, bytes.size()); break;
      case State::kChunkSize:
      case State::kChunkEnd: step = take_chunk_line(bytes); break;
      case State::kDone: leftover_ = true; return {};
    }
    if (!step) return step;
  }
  return {};
}

Outcome<void> ResponseReader::end_of_stream() {
  if (state_ == State::kUntilEnd) state_ = State::kDone;
  if (state_ == State::kDone) return {};
  return failed(TransportFault::kReset,
                begun() ? "the answer breaks off" : "the connection was closed without an answer");
}

bool ResponseReader::take_line(std::string_view& bytes) {
  const std::size_t feed_at = bytes.find('\n');
  const std::size_t taken = feed_at == std::string_view::npos ? bytes.size() : feed_at + 1;
  line_.append(bytes.substr(0, taken));
  bytes.remove_prefix(taken);
  if (feed_at == std::string_view::npos) return false;
  line_.pop_back();  // a lone LF ends a line too (RFC 9112, 2.2)
  if (line_.ends_with('\r')) line_.pop_back();
  return true;
}

Outcome<void> ResponseReader::take_head(std::string_view& bytes) {
  const std::size_t before = bytes.size();
  const std::string_view allowed = bytes.substr(0, std::min(before, kMaxHeaderBytes - header_bytes_ + 1));
  std::string_view rest = allowed;
  const bool whole = take_line(rest);
  header_bytes_ += allowed.size() - rest.size();
  bytes.remove_prefix(allowed.size() - rest.size());
  if (header_bytes_ > kMaxHeaderBytes) return too_large("header");
  if (!whole) return {};
  Outcome<void> read;
  if (state_ == State::kTrailer) {
    if (line_.empty()) state_ = State::kDone;  // trailers are dropped
  } else if (in_status_line_) {
    read = read_status_line(line_);
  } else if (line_.empty()) {
    read = end_head();
  } else {
    read = read_field(line_);
  }
  line_.clear();
  return read;
}

Outcome<void> ResponseReader::read_status_line(std::string_view line) {
  // HTTP/1.1 SP 200 [SP reason] (RFC 9112, 4); the last space is often missing.
  const bool version = line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 ");
  const std::uint64_t status = version ? parse_size(line.substr(9, 3), 10).value_or(0) : 0;
  const bool ended = line.size() == 12 || (line.size() > 12 && line[12] == ' ');
  if (!ended || status < 100 || status > 599 || !is_header_value(line)) return malformed("status line");
  http_1_1_ = line[7] == '1';
  response_.status = static_cast<int>(status);
  in_status_line_ = false;
  return {};
}

Outcome<void> ResponseReader::read_field(std::string_view line) {
  if (!is_header_value(line)) return malformed("control character in a header");
  if (line.front() == ' ' || line.front() == '\t') {  // obs-fold: becomes a space (RFC 9112, 5.2)
    if (response_.headers.empty()) return malformed("header");
    response_.headers.back().value.append(" ").append(trim(line));
    return {};
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_header_name(line.substr(0, colon))) return malformed("header");
  if (response_.headers.size() == kMaxHeaderFields) return too_large("number of headers");
  response_.headers.push_back({std::string(line.substr(0, colon)), std::string(trim(line.substr(colon + 1)))});
  return {};
}

Outcome<void> ResponseReader::end_head() {
  if (response_.status == 101) return malformed("it changes the protocol");
  if (response_.status < 200) {  // 100 Continue, 103 Early Hints …: the real one follows
    response_.headers.clear();
    in_status_line_ = true;
    return {};
  }
  return choose_body();
}

bool ResponseReader::lists(std::string_view header, std::string_view word) const {
  for (const Header& field : response_.headers) {
    if (!same_header_name(field.name, header)) continue;
    std::string_view rest = field.value;
    while (true) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      if (same_header_name(trim(rest.substr(0, comma)), word)) return true;
      if (comma == rest.size()) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

// RFC 9112, 6.3, but two ways of saying the length are an error.
Outcome<void> ResponseReader::choose_body() {
  std::optional<std::size_t> length;
  bool chunked = false;
  for (const Header& header : response_.headers) {
    if (same_header_name(header.name, "Content-Encoding") && !header.value.empty() &&
        !same_header_name(header.value, "identity")) {
      return malformed("an encoding that was not asked for");
    }
    if (same_header_name(header.name, "Transfer-Encoding")) {
      if (chunked || !same_header_name(header.value, "chunked")) return malformed("transfer encoding");
      chunked = true;
    }
    if (same_header_name(header.name, "Content-Length")) {
      const auto value = parse_size(header.value, 10);
      if (!value || (length && *length != *value)) return malformed("content length");
      length = value;
    }
  }
  if (chunked && length) return malformed("both chunked and a content length");
  if (bodyless_ || response_.status == 204 || response_.status == 304) {
    state_ = State::kDone;
    return {};
  }
  if (length && *length > kMaxAnswerBytes) return too_large("body");
  // All at once: a string that grows leaves pieces of the body behind in memory.
  response_.body.text().reserve(length ? *length : kMaxAnswerBytes);
  remaining_ = length.value_or(0);
  delimited_ = chunked || length;
  state_ = chunked ? State::kChunkSize : length ? State::kLength : State::kUntilEnd;
  if (state_ == State::kLength && remaining_ == 0) state_ = State::kDone;
  return {};
}

Outcome<void> ResponseReader::take_body(std::string_view& bytes, std::size_t limit) {
  std::string& body = response_.body.text();
  const std::size_t taken = std::min(bytes.size(), limit);
  if (body.size() + taken > kMaxAnswerBytes) return too_large("body");
  body.append(bytes.substr(0, taken));
  bytes.remove_prefix(taken);
  if (state_ == State::kUntilEnd) return {};
  remaining_ -= taken;
  if (remaining_ == 0) state_ = state_ == State::kLength ? State::kDone : State::kChunkEnd;
  return {};
}

Outcome<void> ResponseReader::take_chunk_line(std::string_view& bytes) {
  const std::size_t before = bytes.size();
  std::string_view rest = bytes.substr(0, std::min(before, kMaxChunkLine - std::min(line_.size(), kMaxChunkLine) + 1));
  const std::size_t offered = rest.size();
  const bool whole = take_line(rest);
  const std::size_t taken = offered - rest.size();
  bytes.remove_prefix(taken);
  framing_bytes_ += taken;
  if (framing_bytes_ > kMaxChunkFraming) return too_large("chunking");
  if (!whole) return line_.size() > kMaxChunkLine ? Outcome<void>(malformed("chunk size")) : Outcome<void>();
  auto read = end_chunk_line();
  line_.clear();
  return read;
}

Outcome<void> ResponseReader::end_chunk_line() {
  if (state_ == State::kChunkEnd) {
    if (!line_.empty()) return malformed("chunk end");
    state_ = State::kChunkSize;
    return {};
  }
  const std::string_view line(line_);
  const auto size = parse_size(trim(line.substr(0, std::min(line.find(';'), line.size()))), 16);
  if (!size) return malformed("chunk size");
  if (*size > kMaxAnswerBytes) return too_large("body");
  remaining_ = *size;
  state_ = remaining_ == 0 ? State::kTrailer : State::kChunkData;
  return {};
}

bool ResponseReader::keeps_alive() const {
  return done() && http_1_1_ && delimited_ && !leftover_ && !lists("Connection", "close");
}

HttpResponse ResponseReader::take() {
  return std::move(response_);
}

}  // namespace credsync::oauth
