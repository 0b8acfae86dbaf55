#include "daemon/oauth/parameters.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "base/text.h"
#include "daemon/oauth/json_value.h"

namespace credsync::oauth {
namespace {

using provider::Encoding;

// Room for any encoding of all parameters: a byte becomes six at most (\u0000), a part of a multipart body
// has about a hundred bytes around it. Reserved before appending, so that no outgrown copy of a secret stays
// behind.
std::size_t room_for(const ParameterList& parameters) {
  std::size_t room = 256;
  for (const Parameter& p : parameters.all())
    room += 6 * (p.name.size() + p.value.text().size()) + 160;
  return room;
}

void append_form_text(std::string& out, std::string_view text) {
  std::string encoded = encode_form(text);
  out += encoded;
  wipe(encoded);
}

void append_form(std::string& out, const ParameterList& parameters) {
  bool first = true;
  for (const Parameter& p : parameters.all()) {
    if (!std::exchange(first, false)) out += '&';
    append_form_text(out, p.name);
    out += '=';
    append_form_text(out, p.value.text());
  }
}

Result<void> append_json(std::string& out, const ParameterList& parameters) {
  out += '{';
  for (const Parameter& p : parameters.all()) {
    if (!is_utf8(p.value.text())) return invalid("parameter " + p.name + " is not UTF-8 and cannot be sent as JSON");
    if (out.size() > 1) out += ',';
    append_json_string(out, p.name);
    out += ':';
    append_json_string(out, p.value.text());
  }
  out += '}';
  return {};
}

// RFC 7578; names escape what would end the quoted string.
std::string quoted_part_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '"')
      out += "%22";
    else if (c == '\r')
      out += "%0D";
    else if (c == '\n')
      out += "%0A";
    else
      out += c;
  }
  return out;
}

Result<std::string> find_boundary(const ParameterList& parameters, Random& random) {
  constexpr int kTries = 4;  // 144 random bits: the first fits unless chance is broken
  constexpr std::size_t kBoundaryBytes = 18;
  for (int i = 0; i < kTries; ++i) {
    std::string boundary = "credsync-" + random.base64url(kBoundaryBytes);
    const bool taken = std::any_of(parameters.all().begin(), parameters.all().end(), [&](const Parameter& p) {
      return p.name.find(boundary) != std::string::npos || p.value.text().find(boundary) != std::string::npos;
    });
    if (!taken) return boundary;
  }
  return invalid("no multipart boundary that is not in the content");
}

void append_multipart(std::string& out, const ParameterList& parameters, const std::string& boundary) {
  for (const Parameter& p : parameters.all()) {
    out += "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + quoted_part_name(p.name) + "\"\r\n\r\n";
    out += p.value.text();
    out += "\r\n";
  }
  out += "--" + boundary + "--\r\n";
}

void append_query(const ParameterList& parameters, std::string& url) {
  if (parameters.all().empty()) return;
  std::string grown;
  grown.reserve(url.size() + room_for(parameters));
  grown = url;
  if (grown.find('?') == std::string::npos)
    grown += '?';
  else if (!grown.ends_with('?') && !grown.ends_with('&'))
    grown += '&';
  append_form(grown, parameters);
  wipe(url);
  url = std::move(grown);
}

}  // namespace

void ParameterList::set(std::string_view name, std::string_view value) {
  for (Parameter& p : all_) {
    if (p.name == name) {
      p.value = WipedString(std::string(value));
      return;
    }
  }
  all_.push_back({std::string(name), WipedString(std::string(value))});
}

void ParameterList::remove(std::string_view name) {
  std::erase_if(all_, [&](const Parameter& p) { return p.name == name; });
}

void ParameterList::rename(std::string_view from, std::string_view to) {
  for (Parameter& p : all_) {
    if (p.name == from) p.name = to;
  }
}

void ParameterList::remove_empty() {
  std::erase_if(all_, [](const Parameter& p) { return p.value.text().empty(); });
}

std::string scope_list(const std::vector<std::string>& scopes, std::string_view separator) {
  std::string out;
  for (const std::string& scope : scopes)
    out.append(out.empty() ? "" : separator).append(scope);
  return out;
}

void apply_rules(const provider::Parameters& rules, const provider::StringMap& set, ParameterList& parameters) {
  for (const std::string& name : rules.omit)
    parameters.remove(name);
  for (const auto& [name, value] : set)
    parameters.set(name, value);
  for (const auto& [from, to] : rules.rename)
    parameters.rename(from, to);
  if (rules.drop_empty) parameters.remove_empty();
}

Result<void> encode_parameters(const ParameterList& parameters, Encoding encoding, Random& random,
                               HttpRequest& request) {
  if (encoding == Encoding::kQuery || request.method == "GET") {
    append_query(parameters, request.url);
    return {};
  }
  if (parameters.all().empty()) return {};  // no body and no type of one: some servers refuse the mere header
  std::string& body = request.body.text();
  body.reserve(room_for(parameters));
  if (encoding == Encoding::kForm) {
    append_form(body, parameters);
    return put_header(request.headers, "Content-Type", "application/x-www-form-urlencoded");
  }
  if (encoding == Encoding::kJson) {
    CREDSYNC_TRY(append_json(body, parameters));
    return put_header(request.headers, "Content-Type", "application/json");
  }
  auto boundary = find_boundary(parameters, random);
  if (!boundary) return boundary.error();
  append_multipart(body, parameters, *boundary);
  return put_header(request.headers, "Content-Type", "multipart/form-data; boundary=" + *boundary);
}

}  // namespace credsync::oauth
