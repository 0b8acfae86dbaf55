#include "ipc/http/routes.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "base/text.h"
#include "ipc/http/flat_json.h"
#include "ipc/http/target.h"
#include "ipc/names.h"

namespace credsync::ipc::http {
namespace {

constexpr std::string_view kGet = "GET";
constexpr std::string_view kPost = "POST";
constexpr std::string_view kDelete = "DELETE";

// The most asked for comes first.
constexpr std::array kRoutes{
    Route{"/v1/accounts/{}/token", kGet, Operation::kToken},
    Route{"/v1/accounts/{}/reject", kPost, Operation::kReject},
    Route{"/v1/accounts/{}/refresh", kPost, Operation::kRefresh},
    Route{"/v1/accounts/{}/login", kPost, Operation::kLogin},
    Route{"/v1/accounts/{}/grant", kDelete, Operation::kSignOut},
    Route{"/v1/accounts/{}", kGet, Operation::kStatus},
    Route{kAccountsPath, kGet, Operation::kListAccounts},
    Route{"/v1/logins/{}", kGet, Operation::kWaitLogin},
    Route{"/v1/logins/{}", kDelete, Operation::kCancelLogin},
    Route{"/v1/logins/{}/answer", kPost, Operation::kAnswerLogin},
    Route{kEventsPath, kGet, Operation::kEvents},
    Route{kWhoAmIPath, kGet, Operation::kWhoAmI},
    Route{kAuditPath, kGet, Operation::kAudit},
    Route{kReloadPath, kPost, Operation::kReload},
    Route{kHealthPath, kGet, Operation::kHealth},
    Route{"/v1/providers/{}", kGet, Operation::kProvider},
    Route{kProvidersPath, kGet, Operation::kProviders},
    Route{kDoctorPath, kGet, Operation::kDoctor},
    Route{kMetricsPath, kGet, Operation::kMetrics},
};

Refusal bad_request(std::string detail) {
  return Refusal{Problem{ProblemKind::kBadRequest, std::move(detail), {}, {}, {}}, {}, false};
}

// Splits "/a/b" after its first segment; what is left keeps its slash.
std::string_view take_segment(std::string_view& path) {
  path.remove_prefix(1);
  const std::size_t end = std::min(path.find('/'), path.size());
  const std::string_view segment = path.substr(0, end);
  path.remove_prefix(end);
  return segment;
}

bool same_segment(std::string_view wanted, std::string_view got) {
  if (got.find('%') == std::string_view::npos) return wanted == got;
  return decode_segment(got) == wanted;
}

bool matches(std::string_view pattern, std::string_view path, std::string& name) {
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = take_segment(pattern);
    const std::string_view got = take_segment(path);
    if (wanted != "{}") {
      if (!same_segment(wanted, got)) return false;
    } else if (auto decoded = decode_segment(got)) {
      name = std::move(*decoded);
    } else {
      return false;
    }
  }
  return pattern.empty() && path.empty();
}

std::variant<const Route*, Refusal> find_route(std::string_view method, std::string_view path, std::string& name) {
  std::string allow;
  for (const Route& route : kRoutes) {
    if (!matches(route.pattern, path, name)) continue;
    if (route.method == method) return &route;
    allow.append(allow.empty() ? "" : ", ").append(route.method);
  }
  if (allow.empty()) return Refusal{{}, {}, true};
  return Refusal{Problem{ProblemKind::kMethodNotAllowed, "this path knows " + allow, {}, {}, {}}, allow, false};
}

std::optional<Refusal> read_seconds(std::string_view name, std::string_view text, std::int64_t most, Duration& out) {
  const auto seconds = parse_whole(text, static_cast<std::uint64_t>(most));
  if (!seconds) return bad_request(std::string(name) + " must be whole seconds from 0 to " + std::to_string(most));
  out = std::chrono::seconds(static_cast<std::int64_t>(*seconds));
  return std::nullopt;
}

std::optional<Refusal> read_parameter(std::string_view name, std::string_view value, Call& call) {
  const Operation operation = call.operation;
  if (operation == Operation::kToken && name == "min_valid") {
    return read_seconds(name, value, kLongestMinValid, call.min_valid);
  }
  const bool waits = operation == Operation::kToken || operation == Operation::kWaitLogin;
  if (waits && name == "wait") return read_seconds(name, value, kLongestWait, call.wait);
  if (operation == Operation::kEvents && name == "account") {
    if (value.empty()) return Refusal{no_such_account(), {}, false};  // not "all accounts"
    call.name = value;
    return std::nullopt;
  }
  if (operation == Operation::kWhoAmI && name == "pid") {
    const auto pid = parse_whole(value, std::numeric_limits<pid_t>::max());
    if (!pid || *pid == 0) return bad_request("pid must be the id of a process");
    call.pid = static_cast<pid_t>(*pid);
    return std::nullopt;
  }
  if (operation == Operation::kAudit && name == "since") {
    call.since = parse_moment(value);
    if (call.since) return std::nullopt;
    return bad_request("since must be a time as RFC 3339 writes it, or whole seconds since 1970");
  }
  return bad_request("there is an unknown query parameter");
}

std::optional<Refusal> unknown_members(const FlatObject& body, std::initializer_list<std::string_view> known) {
  for (const FlatObject::Member& member : body.members()) {
    if (std::find(known.begin(), known.end(), member.key) == known.end()) {
      return bad_request("the body has an unknown member");
    }
  }
  return std::nullopt;
}

std::optional<Refusal> read_rejected(FlatObject& body, Rejected& rejected) {
  if (auto refusal = unknown_members(body, {"generation", "access_token"})) return refusal;
  if (body.has("generation") == body.has("access_token")) {
    return bad_request("the body must hold either generation or access_token");
  }
  if (body.has("generation")) {
    rejected.generation = body.whole_number("generation");
    if (!rejected.generation) return bad_request("generation must be a whole number");
    return std::nullopt;
  }
  auto token = body.take_string("access_token");
  if (!token || token->empty()) return bad_request("access_token must be a string that is not empty");
  rejected.access_token = std::move(*token);
  return std::nullopt;
}

std::optional<LoginMethod> login_method(std::string_view name) {
  if (name == kLoginAuto) return LoginMethod::kAuto;
  if (name == kLoginRefreshToken) return LoginMethod::kRefreshToken;
  if (name == kLoginToken) return LoginMethod::kToken;
  if (name == kLoginPassword) return LoginMethod::kPassword;
  if (name == kLoginBrowser) return LoginMethod::kBrowser;
  if (name == kLoginDevice) return LoginMethod::kDevice;
  return std::nullopt;
}

std::optional<Refusal> read_session_wishes(FlatObject& body, LoginRequest& login) {
  if (body.has("browser_uid")) {
    const auto user = body.whole_number("browser_uid");
    // The highest number means "none" to the kernel.
    if (!user || *user >= std::numeric_limits<uid_t>::max()) return bad_request("browser_uid must be a user's number");
    login.browser_user = static_cast<uid_t>(*user);
  }
  if (body.has("replace_identity")) {
    const auto replace = body.flag("replace_identity");
    if (!replace) return bad_request("replace_identity must be true or false");
    login.replace_identity = *replace;
  }
  return std::nullopt;
}

std::optional<Refusal> read_login(FlatObject& body, LoginRequest& login) {
  if (auto refusal = unknown_members(body, {"method", "secret", "username", "browser_uid", "replace_identity"}))
    return refusal;
  if (body.has("method")) {
    const auto name = body.take_string("method");
    const auto method = name ? login_method(name->expose()) : std::nullopt;
    if (!method) return bad_request("method must be auto, browser, device, refresh_token, token or password");
    login.method = *method;
  }
  if (body.has("secret")) {
    auto secret = body.take_string("secret");
    if (!secret || secret->empty()) return bad_request("secret must be a string that is not empty");
    login.secret = std::move(*secret);
  }
  if (body.has("username")) {
    const auto username = body.take_string("username");
    if (!username) return bad_request("username must be a string");
    login.username = username->expose();
  }
  return read_session_wishes(body, login);
}

std::optional<Refusal> read_answer(FlatObject& body, Secret& redirect_url) {
  if (auto refusal = unknown_members(body, {"redirect_url"})) return refusal;
  auto url = body.take_string("redirect_url");
  if (!url || url->empty()) return bad_request("redirect_url must be a string that is not empty");
  redirect_url = std::move(*url);
  return std::nullopt;
}

bool takes_body(Operation operation) {
  return operation == Operation::kReject || operation == Operation::kLogin || operation == Operation::kAnswerLogin;
}

std::optional<Refusal> read_body(std::string_view method, std::string_view text, Call& call) {
  if (text.empty() && !takes_body(call.operation)) return std::nullopt;
  if (method != kPost) return bad_request("this request takes no body");
  auto body = FlatObject::parse(text);
  if (!body) return bad_request(body.error().message());
  if (call.operation == Operation::kReject) return read_rejected(*body, call.rejected);
  if (call.operation == Operation::kLogin) return read_login(*body, call.login);
  if (call.operation == Operation::kAnswerLogin) return read_answer(*body, call.redirect_url);
  return unknown_members(*body, {});
}

bool names_account(const Call& call) {
  switch (call.operation) {
    case Operation::kToken:
    case Operation::kReject:
    case Operation::kRefresh:
    case Operation::kLogin:
    case Operation::kSignOut:
    case Operation::kStatus: return true;
    case Operation::kEvents: return !call.name.empty();
    default: return false;
  }
}

}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}

Problem no_such_account() {
  return Problem{
      ProblemKind::kNoSuchAccount, "there is no such account, or none that you may know of", "credsync whoami", {}, {}};
}

std::variant<Call, Refusal> understand(const Request& request) {
  const auto target = parse_target(request.target);
  if (!target) return bad_request(target.error().message());
  Call call;
  const auto route = find_route(request.method, target->path, call.name);
  if (const Refusal* refusal = std::get_if<Refusal>(&route)) return *refusal;
  call.operation = std::get<const Route*>(route)->operation;
  if (call.operation == Operation::kToken || call.operation == Operation::kWaitLogin)
    call.wait = std::chrono::seconds(kDefaultWait);
  for (const auto& [name, value] : target->query) {
    if (auto refusal = read_parameter(name, value, call)) return std::move(*refusal);
  }
  if (auto refusal = read_body(request.method, request.body, call)) return std::move(*refusal);
  // Last, so that a name that cannot be one is refused exactly where a missing account is.
  if (names_account(call) && !is_account_name(call.name)) return Refusal{no_such_account(), {}, false};
  return call;
}

}  // namespace credsync::ipc::http
