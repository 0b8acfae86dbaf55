#include "ipc/http/request_reader.h"

// An assertion of Beast's (1.74: "n >= 5" in parse_chunk_header) fails on a last chunk that comes byte by
// byte, where the code behind it does the right thing. What a client sends must not end the daemon, whatever
// the build.
#define BOOST_DISABLE_ASSERTS

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "ipc/http/wiped_buffer.h"

namespace credsync::ipc::http {
namespace {

namespace beast = boost::beast;
using beast::http::field;
using ErrorCode = beast::error_code;

Problem bad_request(std::string detail) {
  return Problem{ProblemKind::kBadRequest, std::move(detail), {}, {}, {}};
}

Problem too_large(std::string_view what, std::size_t limit) {
  return Problem{
      ProblemKind::kTooLarge, std::string(what) + " is larger than " + std::to_string(limit) + " bytes", {}, {}, {}};
}

using HttpError = beast::http::error;
struct Meaning {
  HttpError error;
  std::string_view text;
};
constexpr Meaning kMeanings[] = {
    {HttpError::bad_method, "the request does not begin with a method"},
    {HttpError::bad_target, "the request target is malformed"},
    {HttpError::bad_version, "the HTTP version is not 1.0 or 1.1"},
    {HttpError::bad_field, "a header field's name is malformed"},
    {HttpError::bad_value, "a header field's value is malformed"},
    {HttpError::bad_content_length, "Content-Length is malformed or contradicted"},
    {HttpError::bad_transfer_encoding, "Transfer-Encoding is malformed or contradicted"},
    {HttpError::bad_chunk, "a chunk is malformed"},
    {HttpError::bad_chunk_extension, "a chunk's extension is malformed"},
    {HttpError::bad_line_ending, "a line does not end in CR LF"},
};

Problem translate(const ErrorCode& error, const ReaderLimits& limits) {
  if (error == HttpError::header_limit) return too_large("the header", limits.header);
  if (error == HttpError::body_limit || error == HttpError::buffer_overflow) return too_large("the body", limits.body);
  for (const Meaning& meaning : kMeanings) {
    if (error == meaning.error) return bad_request(std::string(meaning.text));
  }
  return bad_request("the request is malformed");
}

std::string_view to_std(beast::string_view text) {
  return {text.data(), text.size()};
}

// Beast calls back once per element; what it hands over lives only during the call. Its header_limit counts
// from what it has not used yet, so that lines which drip in would pass in any number: the sums are kept
// here.
class Parser final : public beast::http::basic_parser<true> {
 public:
  Parser(const ReaderLimits& limits, std::string& method, std::string& target, std::string& host, std::string& origin)
      : limits_(limits), method_(method), target_(target), host_(host), origin_(origin) {
    header_limit(static_cast<std::uint32_t>(limits.header));
    body_limit(limits.body);
    eager(true);
  }

  // Returns how many bytes were used.
  std::size_t take(std::string_view bytes, ErrorCode& error) {
    input_ = bytes;
    const std::size_t used = put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
    used_ += used;
    const std::size_t left = bytes.size() - used;
    if (error == HttpError::need_more) error = {};
    if (error || is_done()) return used;
    if (!is_header_done() && used_ + left > limits_.header) refuse(too_large("the header", limits_.header), error);
    if (used_ + left > limits_.request) refuse(too_large("the request", limits_.request), error);
    return used;
  }

  std::optional<Problem> refusal;
  WipedBuffer body;
  bool http_1_1 = false;
  bool expects = false;

 protected:
  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target, int version,
                       ErrorCode&) override {
    method_.assign(method.data(), method.size());
    target_.assign(target.data(), target.size());
    http_1_1 = version == 11;
    header_bytes_ = method.size() + target.size();
  }

  void on_field_impl(field name, beast::string_view name_text, beast::string_view value, ErrorCode& error) override {
    if (is_header_done()) return refuse(bad_request("trailer fields are not taken"), error);
    if (is_folded(to_std(name_text), to_std(value))) return refuse(bad_request("a header field is folded"), error);
    header_bytes_ += name_text.size() + value.size();
    if (header_bytes_ > limits_.header) return refuse(too_large("the header", limits_.header), error);
    switch (name) {
      case field::transfer_encoding: return check_transfer_encoding(value, error);
      case field::content_length: return check_content_length(to_std(value), error);
      case field::expect: return check_expect(value, error);
      case field::host:
        if (std::exchange(has_host_, true)) return refuse(bad_request("there is more than one Host"), error);
        host_.assign(value.data(), value.size());
        return;
      case field::origin: origin_.assign(value.data(), value.size()); return;
      default: return;
    }
  }

  // Later versions of Beast hand trailers over by themselves.
  void on_trailer_field_impl(field name, beast::string_view name_text, beast::string_view value, ErrorCode& error) {
    on_field_impl(name, name_text, value, error);
  }

  void on_header_impl(ErrorCode& error) override {
    if (http_1_1 && !has_host_) refuse(bad_request("there is no Host"), error);
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>& length, ErrorCode&) override {
    if (length) body.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(*length, limits_.body)));
  }

  std::size_t on_body_impl(beast::string_view bytes, ErrorCode&) override {
    body.append(to_std(bytes));
    return bytes.size();
  }

  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view bytes, ErrorCode&) override {
    body.append(to_std(bytes));
    return bytes.size();
  }

  void on_chunk_header_impl(std::uint64_t, beast::string_view, ErrorCode&) override {}
  void on_finish_impl(ErrorCode&) override {}
  void on_response_impl(int, beast::string_view, int, ErrorCode&) override {}

 private:
  void refuse(Problem problem, ErrorCode& error) {
    if (!refusal) refusal = std::move(problem);
    error = HttpError::bad_value;
  }

  // A folded value was unfolded into a buffer elsewhere, or begins on a later line than its name.
  bool is_folded(std::string_view name, std::string_view value) const {
    const char* const name_end = name.data() + name.size();
    const std::less<const char*> before;
    if (before(value.data(), name_end) || before(input_.data() + input_.size(), value.data())) return true;
    return std::memchr(name_end, '\n', static_cast<std::size_t>(value.data() - name_end)) != nullptr;
  }

  void check_transfer_encoding(beast::string_view value, ErrorCode& error) {
    if (!http_1_1) return refuse(bad_request("HTTP/1.0 has no Transfer-Encoding"), error);
    if (!beast::iequals(value, "chunked")) refuse(bad_request("no Transfer-Encoding but chunked is known"), error);
  }

  void check_content_length(std::string_view value, ErrorCode& error) {
    const bool digits = std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (std::exchange(has_length_, true) || !digits)
      refuse(bad_request("Content-Length is malformed or given twice"), error);
  }

  void check_expect(beast::string_view value, ErrorCode& error) {
    if (!http_1_1) return;  // RFC 9110, 10.1.1: to be ignored
    if (!beast::iequals(value, "100-continue"))
      return refuse(bad_request("nothing but 100-continue can be expected"), error);
    expects = true;
  }

  const ReaderLimits& limits_;
  std::string& method_;
  std::string& target_;
  std::string& host_;
  std::string& origin_;
  std::string_view input_;
  std::size_t used_ = 0;
  std::size_t header_bytes_ = 0;
  bool has_host_ = false;
  bool has_length_ = false;
};

}  // namespace

struct RequestReader::Message {
  explicit Message(const ReaderLimits& l) : limits(l) {}
  const ReaderLimits limits;
  std::string method, target, host, origin;  // outlive the parser, so that their memory serves the next request too
  std::optional<Parser> parser;
  Request request;
  Problem refusal;
  State state = State::kPartial;
  bool blank_line_skipped = false;

  std::size_t feed(std::string_view bytes);
};

std::size_t RequestReader::Message::feed(std::string_view bytes) {
  std::size_t skipped = 0;
  if (!parser) {
    // RFC 9112, 2.2: an empty line before the request line is to be ignored; one is enough.
    if (!blank_line_skipped && bytes == "\r") return 0;
    if (!blank_line_skipped && bytes.starts_with("\r\n")) skipped = 2;
    blank_line_skipped = blank_line_skipped || skipped != 0;
    bytes.remove_prefix(skipped);
    if (bytes.empty()) return skipped;
    host.clear();
    origin.clear();
    parser.emplace(limits, method, target, host, origin);
  }
  ErrorCode error;
  const std::size_t used = parser->take(bytes, error);
  if (error) {
    refusal = parser->refusal ? std::move(*parser->refusal) : translate(error, limits);
    state = State::kRefused;
  } else if (parser->is_done()) {
    request = Request{method, target, parser->body.view(), host, origin, parser->http_1_1, parser->keep_alive()};
    state = State::kWhole;
  }
  return skipped + used;
}

RequestReader::RequestReader(const ReaderLimits& limits) : message_(std::make_unique<Message>(limits)) {}
RequestReader::~RequestReader() = default;

std::size_t RequestReader::feed(std::string_view bytes) {
  CHECK(message_->state == State::kPartial);
  return message_->feed(bytes);
}

RequestReader::State RequestReader::state() const {
  return message_->state;
}
const Request& RequestReader::request() const {
  return message_->request;
}
const Problem& RequestReader::refusal() const {
  return message_->refusal;
}

bool RequestReader::take_expectation() {
  const auto& parser = message_->parser;
  return parser && parser->is_header_done() && parser->body.empty() && std::exchange(message_->parser->expects, false);
}

void RequestReader::reset() {
  message_->parser.reset();
  message_->state = State::kPartial;
  message_->blank_line_skipped = false;
}

}  // namespace credsync::ipc::http
