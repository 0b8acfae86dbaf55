#include "cli/http_response.h"

#include <algorithm>
#include <charconv>

namespace credsync::cli {
namespace {

constexpr std::size_t kMaxHead = 16 * 1024;  // our daemon sends under 1 KiB
constexpr std::size_t kMaxHeaders = 64;
constexpr std::size_t kMaxChunkLine = 256;  // a size in hex; extensions are allowed and unused
constexpr std::size_t kMaxTrailer = 4 * 1024;
constexpr std::size_t kMaxInterims = 4;  // 100 and 103 are all there are; our daemon sends none
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";

Failure garbled(std::string_view what) {
  return failed("what answers at this socket does not speak HTTP as credsyncd does: " + std::string(what));
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool parse_size(std::string_view text, int base, std::size_t& value) {
  if (text.empty()) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

ResponseReader::~ResponseReader() {
  wipe(buffer_);
  wipe(body_);
}

Outcome<void> ResponseReader::feed(std::string_view bytes) {
  buffer_.erase(0, at_);
  at_ = 0;
  buffer_.append(bytes);
  while (state_ != State::kDone && at_ < buffer_.size()) {
    const State before = state_;
    const std::size_t was = at_;
    CREDSYNC_TRY(step());
    if (state_ == before && at_ == was) break;  // needs more bytes
  }
  return {};
}

Outcome<void> ResponseReader::step() {
  switch (state_) {
    case State::kHead: return read_head();
    case State::kLength:
    case State::kToEnd:
    case State::kChunk: return read_body_bytes();
    case State::kChunkSize: return read_chunk_size();
    case State::kChunkEnd: return read_chunk_end();
    case State::kTrailer: return read_trailer();
    case State::kDone: break;
  }
  return {};
}

Outcome<void> ResponseReader::end() {
  if (state_ == State::kToEnd) state_ = State::kDone;
  if (state_ == State::kDone) return {};
  return Failure{
      ExitCode::kUnreachable, "credsyncd closed the connection before its answer was complete", "credsync doctor", {}};
}

std::string_view ResponseReader::header(std::string_view name) const {
  for (const auto& [key, value] : headers_) {
    if (key == name) return value;
  }
  return {};
}

std::string ResponseReader::take_body() {
  return std::exchange(body_, {});
}

Outcome<bool> ResponseReader::next_line(std::string_view& line, std::size_t limit) {
  const std::size_t length = pending().find(kLineEnd);
  if (length == std::string_view::npos) {
    if (pending().size() > limit + 1) return garbled("a line that is too long");  // its CR may be there already
    return false;
  }
  if (length > limit) return garbled("a line that is too long");
  line = pending().substr(0, length);
  at_ += length + kLineEnd.size();
  return true;
}

Outcome<void> ResponseReader::read_head() {
  const std::string_view all = pending();
  const std::size_t length = all.find(kHeadEnd);
  // Tell a peer that never speaks HTTP from one that is slow as soon as the first bytes show it.
  constexpr std::string_view kVersion = "HTTP/1.";
  const std::size_t shown = std::min(all.size(), kVersion.size());
  if (all.substr(0, shown) != kVersion.substr(0, shown)) return garbled("no HTTP status line");
  // What ends it may be there but for its last byte.
  const std::size_t least =
      length == std::string_view::npos ? all.size() - std::min(all.size(), kHeadEnd.size() - 1) : length;
  if (least > kMaxHead) return garbled("a header too long");
  if (length == std::string_view::npos) return {};
  const std::size_t end = at_ + length + kLineEnd.size();
  headers_.clear();
  std::string_view line;
  CREDSYNC_TRY(next_line(line, kMaxHead));
  CREDSYNC_TRY(parse_status_line(line));
  while (at_ < end) {
    CREDSYNC_TRY(next_line(line, kMaxHead));
    CREDSYNC_TRY(parse_header_line(line));
  }
  at_ = end + kLineEnd.size();
  const bool interim = status_ >= 100 && status_ < 200;  // RFC 9110, 15.2: the final one follows
  if (!interim) return choose_framing();
  return ++interims_ > kMaxInterims ? Outcome<void>(garbled("interim answers without end")) : Outcome<void>();
}

Outcome<void> ResponseReader::parse_status_line(std::string_view line) {
  // HTTP/1.1 200 OK
  constexpr std::size_t kCodeAt = 9;
  std::size_t code = 0;
  if (line.size() < kCodeAt + 3 || line[kCodeAt - 1] != ' ' || !parse_size(line.substr(kCodeAt, 3), 10, code) ||
      code < 100 || code > 599 || (line.size() > kCodeAt + 3 && line[kCodeAt + 3] != ' ')) {
    return garbled("a bad status line");
  }
  status_ = static_cast<int>(code);
  return {};
}

Outcome<void> ResponseReader::parse_header_line(std::string_view line) {
  const std::size_t colon = line.find(':');
  const bool bad_name = colon == std::string_view::npos || colon == 0 ||
                        line.substr(0, colon).find_first_of(" \t") != std::string_view::npos;
  if (bad_name) return garbled("a bad header line");
  if (headers_.size() == kMaxHeaders) return garbled("too many header lines");
  headers_.emplace_back(lower(line.substr(0, colon)), std::string(trim(line.substr(colon + 1))));
  return {};
}

Outcome<void> ResponseReader::choose_framing() {
  constexpr int kNoContent = 204;
  const auto count = [&](std::string_view name) {
    return std::count_if(headers_.begin(), headers_.end(), [&](const auto& h) { return h.first == name; });
  };
  const auto lengths = count("content-length");
  const auto codings = count("transfer-encoding");
  if (lengths > 1 || codings > 1 || (lengths != 0 && codings != 0)) return garbled("an ambiguous body length");
  if (status_ == kNoContent) {
    state_ = State::kDone;
  } else if (codings != 0) {
    if (lower(header("transfer-encoding")) != "chunked") return garbled("an unknown transfer encoding");
    state_ = State::kChunkSize;
  } else if (lengths != 0) {
    if (!parse_size(header("content-length"), 10, left_)) return garbled("a bad body length");
    if (left_ > max_body_) return failed("the daemon's answer is too long");
    body_.reserve(left_);  // a string that grows leaves copies of a token behind
    state_ = left_ == 0 ? State::kDone : State::kLength;
  } else {
    state_ = State::kToEnd;
  }
  return {};
}

Outcome<void> ResponseReader::append(std::size_t count) {
  if (count > max_body_ - body_.size()) return failed("the daemon's answer is too long");
  body_.append(buffer_, at_, count);
  at_ += count;
  return {};
}

Outcome<void> ResponseReader::read_body_bytes() {
  if (state_ == State::kToEnd) return append(pending().size());
  const std::size_t count = std::min(left_, pending().size());
  CREDSYNC_TRY(append(count));
  left_ -= count;
  if (left_ == 0) state_ = state_ == State::kLength ? State::kDone : State::kChunkEnd;
  return {};
}

Outcome<void> ResponseReader::read_chunk_size() {
  std::string_view line;
  CREDSYNC_LET(whole, next_line(line, kMaxChunkLine));
  if (!whole) return {};
  if (!parse_size(trim(line.substr(0, line.find(';'))), 16, left_)) return garbled("a bad chunk size");
  state_ = left_ == 0 ? State::kTrailer : State::kChunk;
  return {};
}

Outcome<void> ResponseReader::read_chunk_end() {
  if (pending().size() < kLineEnd.size()) return {};
  if (!pending().starts_with(kLineEnd)) return garbled("a chunk longer than its size");
  at_ += kLineEnd.size();
  state_ = State::kChunkSize;
  return {};
}

Outcome<void> ResponseReader::read_trailer() {
  std::string_view line;
  CREDSYNC_LET(whole, next_line(line, kMaxTrailer));
  if (!whole) return {};
  trailer_ += line.size() + kLineEnd.size();
  if (trailer_ > kMaxTrailer) return garbled("a trailer too long");
  if (line.empty()) state_ = State::kDone;
  return {};
}

}  // namespace credsync::cli
