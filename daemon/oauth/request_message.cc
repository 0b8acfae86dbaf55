#include "daemon/oauth/request_message.h"

#include <algorithm>
#include <array>

namespace credsync::oauth {
namespace {

// Set here and nowhere else: two of one kind would make the message's end ambiguous, and a coded answer is
// not read.
constexpr std::array<std::string_view, 8> kOurs = {
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "accept-encoding", "expect"};

bool has_header(const HttpRequest& request, std::string_view name) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [&](const Header& header) { return same_header_name(header.name, name); });
}

// Head and body never grow past this, so that no half-written copy stays behind in memory.
std::size_t size_bound(const HttpRequest& request, const EndpointUrl& url) {
  constexpr std::size_t kFixedParts = 512;
  std::size_t size = kFixedParts + request.method.size() + url.target.text().size() + url.host.size();
  for (const Header& header : request.headers)
    size += header.name.size() + header.value.size() + 4;
  return size + request.body.text().size();
}

}  // namespace

Result<WipedString> write_request(const HttpRequest& request, const EndpointUrl& url) {
  if (!is_header_name(request.method)) return invalid("bad request method");
  for (const Header& header : request.headers) {
    const bool ours = std::any_of(kOurs.begin(), kOurs.end(),
                                  [&](std::string_view name) { return same_header_name(header.name, name); });
    if (ours || !is_header_name(header.name) || !is_header_value(header.value)) return invalid("bad request header");
  }
  WipedString message;
  std::string& text = message.text();
  text.reserve(size_bound(request, url));
  text.append(request.method).append(" ").append(url.target.text()).append(" HTTP/1.1\r\nHost: ");
  text.append(url.authority()).append("\r\nAccept-Encoding: identity\r\n");
  if (!has_header(request, "User-Agent")) text.append("User-Agent: credsyncd/" CREDSYNC_VERSION "\r\n");
  for (const Header& header : request.headers) {
    text.append(header.name).append(": ").append(header.value).append("\r\n");
  }
  const std::string& body = request.body.text();
  const bool may_have_body = request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (!body.empty() || may_have_body)
    text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  text.append("\r\n").append(body);
  return message;
}

}  // namespace credsync::oauth
