#include "ipc/http/response.h"

#include <algorithm>
#include <charconv>

#include "ipc/http/json_writer.h"
#include "ipc/names.h"

namespace credsync::ipc::http {
namespace {

struct ProblemText {
  ProblemName name;
  std::string_view title;
};

ProblemText describe(ProblemKind kind) {
  switch (kind) {
    case ProblemKind::kBadRequest: return {kBadRequest, "The request is not understood"};
    case ProblemKind::kNotAllowed: return {kNotAllowed, "Not allowed"};
    case ProblemKind::kNoSuchAccount: return {kNoSuchAccount, "No such account"};
    case ProblemKind::kNeedsLogin: return {kNeedsLogin, "The account needs a sign-in"};
    case ProblemKind::kSuspended: return {kSuspended, "The account is suspended"};
    case ProblemKind::kLoginInProgress: return {kLoginInProgress, "Somebody is signing in"};
    case ProblemKind::kLoginOver: return {kLoginOver, "The sign-in is over"};
    case ProblemKind::kMethodNotAllowed: return {kMethodNotAllowed, "Method not allowed"};
    case ProblemKind::kTooLarge: return {kTooLarge, "The request is too large"};
    case ProblemKind::kBusy: return {kBusy, "Over a limit"};
    case ProblemKind::kUnavailable: return {kUnavailable, "Unavailable for now"};
    case ProblemKind::kTimeout: return {kTimeout, "The wait is over"};
  }
  return {kUnavailable, "Unavailable for now"};
}

std::string_view reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 413: return "Content Too Large";
    case 429: return "Too Many Requests";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "";
  }
}

void append_number(WipedBuffer& out, std::uint64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

// Whole seconds, rounded up, and never 0, which would invite a caller to spin.
std::uint64_t retry_seconds(Duration d) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(1, to_seconds(d + 1s - 1us)));
}

std::optional<Duration> retry_after(const Problem& problem) {
  if (problem.retry_after) return problem.retry_after;
  if (problem.kind == ProblemKind::kBusy) return kBusyRetryAfter;
  if (problem.kind == ProblemKind::kUnavailable) return kUnavailableRetryAfter;
  return std::nullopt;
}

std::string problem_body(const Problem& problem, const ProblemText& text) {
  std::string body;
  JsonWriter json(body);
  json.begin_object();
  json.text("type", std::string(kProblemPrefix).append(text.name.name));
  json.text("title", text.title);
  json.number("status", static_cast<std::uint64_t>(text.name.status));
  json.text("detail", problem.detail);
  json.text_or_nothing("next_step", problem.next_step);
  if (!problem.problems.empty()) json.texts("problems", problem.problems);
  if (problem.stopping) json.flag("stopping", true);
  json.end_object();
  return body;
}

void write_status_line(WipedBuffer& out, int status) {
  if (status == 200) return out.append("HTTP/1.1 200 OK\r\n");
  out.append("HTTP/1.1 ");
  append_number(out, static_cast<std::uint64_t>(status));
  out.append(' ');
  out.append(reason(status));
  out.append("\r\n");
}

}  // namespace

void write_head(WipedBuffer& out, const Framing& framing, const ResponseHead& head, std::size_t content_length) {
  write_status_line(out, head.status);
  out.append("Cache-Control: no-store\r\nContent-Type: ");
  out.append(head.content_type);
  if (!head.allow.empty()) {
    out.append("\r\nAllow: ");
    out.append(head.allow);
  }
  if (head.retry_after) {
    out.append("\r\nRetry-After: ");
    append_number(out, retry_seconds(*head.retry_after));
  }
  if (!head.location.empty()) {
    out.append("\r\nLocation: ");
    out.append(head.location);
  }
  if (!framing.keep_alive) {
    out.append("\r\nConnection: close");
  } else if (!framing.http_1_1) {
    out.append("\r\nConnection: keep-alive");
  }
  out.append("\r\nContent-Length: ");
  append_number(out, content_length);
  out.append("\r\n\r\n");
}

void write_response(WipedBuffer& out, const Framing& framing, const ResponseHead& head, std::string_view body) {
  write_head(out, framing, head, body.size());
  if (!framing.head_only) out.append(body);
}

void write_json(WipedBuffer& out, const Framing& framing, std::string_view body) {
  write_response(out, framing, {200, kJsonType, {}, {}}, body);
}

void write_problem(WipedBuffer& out, const Framing& framing, const Problem& problem, std::string_view allow) {
  const ProblemText text = describe(problem.kind);
  const ResponseHead head{text.name.status, kProblemType, allow, retry_after(problem)};
  write_response(out, framing, head, problem_body(problem, text));
}

std::string problem_type(ProblemKind kind) {
  return std::string(kProblemPrefix) + std::string(describe(kind).name.name);
}

Problem stopping_problem() {
  return Problem{ProblemKind::kUnavailable, "the daemon is stopping", {}, kStoppingRetryAfter, {}, true};
}

void write_no_such_path(WipedBuffer& out, const Framing& framing) {
  constexpr std::string_view kBody =
      R"({"type":"about:blank","title":"Not Found","status":404,"detail":"there is no such path","next_step":null})";
  write_response(out, framing, {404, kProblemType, {}, {}}, kBody);
}

void write_stream_head(WipedBuffer& out) {
  out.append("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: ");
  out.append(kEventStreamType);
  out.append("\r\nConnection: close\r\n\r\n");
}

void write_continue(WipedBuffer& out) {
  out.append("HTTP/1.1 100 Continue\r\n\r\n");
}

}  // namespace credsync::ipc::http
