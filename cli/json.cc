#include "cli/json.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/when.h"

namespace credsync::cli {
namespace {

using Json = nlohmann::ordered_json;

// No answer of the contract nests deeper than 5; the library's printer recurses, so depth is bounded here.
constexpr int kDeepest = 32;
// Details of a problem may name a file and a reason; a foreign text within was cut to 256 by the daemon.
constexpr std::size_t kLongestText = 2048;

bool too_deep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepest) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

Failure not_understood(std::string_view what) {
  return failed("the daemon's answer cannot be understood: " + std::string(what));
}

Outcome<Json> parse_any(std::string_view text) {
  if (too_deep(text)) return not_understood("JSON that nests too deeply");
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return not_understood("not JSON");
  return json;
}

Outcome<Json> parse_object(std::string_view text) {
  CREDSYNC_LET(json, parse_any(text));
  if (!json.is_object()) return not_understood("not a JSON object");
  return std::move(json);
}

const Json* member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string clean(const std::string& text) {
  return clean_foreign_text(text, {}, kLongestText);
}

std::string text_of(const Json& object, const char* key) {
  const Json* value = member(object, key);
  return value != nullptr && value->is_string() ? clean(value->get_ref<const std::string&>()) : std::string();
}

// Something to open in a browser: never cut, and never what a shell, a terminal or a browser could take for something
// else than a web address.
std::string address_of(const Json& object, const char* key) {
  constexpr std::size_t kLongestAddress = 16 * 1024;
  const Json* value = member(object, key);
  if (value == nullptr || !value->is_string()) return {};
  const auto& address = value->get_ref<const std::string&>();
  const bool web = address.starts_with("https://") || address.starts_with("http://");
  const bool visible = std::all_of(address.begin(), address.end(), [](char c) { return c > ' ' && c < 127; });
  return web && visible && address.size() <= kLongestAddress ? address : std::string();
}

Secret secret_of(const Json& object, const char* key) {
  const Json* value = member(object, key);
  if (value == nullptr || !value->is_string()) return {};
  return Secret(value->get_ref<const std::string&>());
}

std::optional<std::int64_t> number_of(const Json& object, const char* key) {
  const Json* value = member(object, key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  if (value->is_number_float()) return std::nullopt;
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  if (value->is_number_unsigned() && value->get<std::uint64_t>() > kMost) return std::nullopt;  // not as a negative one
  return value->get<std::int64_t>();
}

bool flag_of(const Json& object, const char* key, bool otherwise) {
  const Json* value = member(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : otherwise;
}

std::optional<WallTime> time_of(const Json& object, const char* key) {
  const Json* value = member(object, key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return parse_rfc3339(value->get_ref<const std::string&>());
}

std::vector<std::string> texts_of(const Json& object, const char* key) {
  std::vector<std::string> out;
  const Json* value = member(object, key);
  if (value == nullptr || !value->is_array()) return out;
  for (const Json& item : *value) {
    if (item.is_string()) out.push_back(clean(item.get_ref<const std::string&>()));
  }
  return out;
}

// Reads each object of the list `key` with `read`.
template <typename Read>
auto list_of(const Json& object, const char* key, Read read) {
  std::vector<decltype(read(object))> out;
  const Json* value = member(object, key);
  if (value == nullptr || !value->is_array()) return out;
  out.reserve(value->size());
  for (const Json& item : *value) {
    if (item.is_object()) out.push_back(read(item));
  }
  return out;
}

// The list is what the answer is for: it must be there.
template <typename Read>
auto required_list(std::string_view text, const char* key, Read read)
    -> Outcome<std::vector<decltype(read(std::declval<const Json&>()))>> {
  CREDSYNC_LET(json, parse_object(text));
  const Json* value = member(json, key);
  if (value == nullptr || !value->is_array()) return not_understood(std::string("no list of ") + key);
  return list_of(json, key, read);
}

Retiring read_retiring(const Json& object) {
  const Json* value = member(object, "retiring");
  if (value == nullptr) return {};
  return {number_of(*value, "pending").value_or(0), number_of(*value, "unrevoked").value_or(0),
          time_of(*value, "next")};
}

AccountStatus read_status(const Json& json) {
  AccountStatus status;
  status.account = text_of(json, "account");
  status.provider = text_of(json, "provider");
  status.grant = text_of(json, "grant");
  status.state = text_of(json, "state");
  status.since = time_of(json, "since");
  status.generation = number_of(json, "generation").value_or(0);
  status.usable = flag_of(json, "usable", false);
  status.expires_at = time_of(json, "expires_at");
  status.expires_in = number_of(json, "expires_in");
  status.lifetime = number_of(json, "lifetime");
  status.refreshable = flag_of(json, "refreshable", false);
  status.refreshing = flag_of(json, "refreshing", false);
  status.next_refresh = time_of(json, "next_refresh");
  status.refresh_expires_at = time_of(json, "refresh_expires_at");
  status.scope = texts_of(json, "scope");
  status.last_used = time_of(json, "last_used");
  if (const Json* error = member(json, "error")) {
    status.error = LastError{text_of(*error, "class"), text_of(*error, "message"), time_of(*error, "at")};
  }
  if (const Json* step = member(json, "next_step")) {
    status.next_step = NextStep{text_of(*step, "text"), text_of(*step, "command")};
  }
  status.retiring = read_retiring(json);
  status.notes = texts_of(json, "notes");
  status.actions = texts_of(json, "actions");
  return status;
}

AccountRights read_rights(const Json& json) {
  const auto rule = [](const Json& r) {
    return Rule{text_of(r, "rule"), flag_of(r, "matches", false), text_of(r, "why")};
  };
  return {text_of(json, "account"), texts_of(json, "actions"), list_of(json, "rules", rule)};
}

std::string read_group(const Json& json) {
  const std::string gid = std::to_string(number_of(json, "gid").value_or(-1));
  const std::string name = text_of(json, "name");
  return name.empty() ? gid : name + " (" + gid + ")";
}

ProviderSummary read_provider(const Json& json) {
  return {text_of(json, "id"), text_of(json, "title"), text_of(json, "docs"), texts_of(json, "grants"),
          text_of(json, "file")};
}

// A fact may be a number, a switch or a list: shown as JSON then.
std::string value_of(const Json& object, const char* key) {
  const Json* value = member(object, key);
  if (value == nullptr) return {};
  if (value->is_string()) return clean(value->get_ref<const std::string&>());
  return clean(value->dump(-1, ' ', true, Json::error_handler_t::replace));
}

ProviderFact read_fact(const Json& json) {
  std::string place = text_of(json, "file");
  if (const auto line = number_of(json, "line")) place += ":" + std::to_string(*line);
  return {text_of(json, "key"), value_of(json, "value"), std::move(place), text_of(json, "source")};
}

DoctorCheck read_check(const Json& json) {
  const std::string result = text_of(json, "result");
  // A result that this version does not know is shown, but fails nothing.
  const CheckResult known = result == "ok"       ? CheckResult::kOk
                            : result == "failed" ? CheckResult::kFailed
                                                 : CheckResult::kWarning;
  return {text_of(json, "name"), known, text_of(json, "detail"), text_of(json, "next_step")};
}

AuditRecord read_audit(const Json& json) {
  AuditRecord record;
  record.at = time_of(json, "at");
  record.action = text_of(json, "action");
  record.decision = text_of(json, "decision");
  record.account = text_of(json, "account");
  record.generation = number_of(json, "generation");
  record.uid = number_of(json, "uid");
  record.pid = number_of(json, "pid");
  record.unit = text_of(json, "unit");
  record.exe = text_of(json, "exe");
  record.rule = text_of(json, "rule");
  record.count = number_of(json, "count").value_or(1);
  record.detail = text_of(json, "detail");
  return record;
}

LoginError read_login_error(const Json& json) {
  const std::string type = text_of(json, "type");
  return {type.starts_with(ipc::kProblemPrefix) ? type.substr(ipc::kProblemPrefix.size()) : "", text_of(json, "class"),
          text_of(json, "detail"), text_of(json, "next_step")};
}

LoginView read_login(const Json& json) {
  LoginView view;
  view.id = text_of(json, "id");
  view.account = text_of(json, "account");
  view.provider = text_of(json, "provider");
  view.provider_title = text_of(json, "provider_title");
  view.client_id = text_of(json, "client_id");
  view.grant = text_of(json, "grant");
  view.method = text_of(json, "method");
  view.phase = text_of(json, "phase");
  view.scopes = texts_of(json, "scopes");
  view.url = address_of(json, "url");
  view.url_expires_in = number_of(json, "url_expires_in");
  view.redirect_uri = text_of(json, "redirect_uri");
  view.listening = flag_of(json, "listening", false);
  view.user_code = text_of(json, "user_code");
  view.verification_uri = address_of(json, "verification_uri");
  view.verification_uri_complete = address_of(json, "verification_uri_complete");
  view.expires_in = number_of(json, "expires_in").value_or(0);
  view.generation = number_of(json, "generation").value_or(0);
  view.granted = texts_of(json, "granted");
  view.missing = texts_of(json, "missing");
  view.identity = text_of(json, "identity");
  if (const Json* error = member(json, "error")) view.error = read_login_error(*error);
  return view;
}

// 128 random bits in hexadecimal: the id becomes part of a path.
bool is_login_id(std::string_view id) {
  constexpr std::size_t kLongestId = 64;
  return !id.empty() && id.size() <= kLongestId && id.find_first_not_of("0123456789abcdefABCDEF") == id.npos;
}

std::string dumped(const Json& json, int indent) {
  return json.dump(indent, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

Outcome<std::string> layout(std::string_view text, int indent) {
  CREDSYNC_LET(json, parse_any(text));
  return dumped(json, indent);
}

}  // namespace

Outcome<TokenAnswer> parse_token(std::string_view text) {
  CREDSYNC_LET(json, parse_object(text));
  TokenAnswer answer;
  answer.access_token = secret_of(json, "access_token");
  if (answer.access_token.empty()) return not_understood("no access token in it");
  if (const Json* header = member(json, "header")) {
    answer.header_name = text_of(*header, "name");
    answer.header_value = secret_of(*header, "value");
  }
  answer.expires_in = number_of(json, "expires_in");
  answer.min_valid_met = flag_of(json, "min_valid_met", true);
  answer.state = text_of(json, "state");
  return answer;
}

Outcome<AccountStatus> parse_status(std::string_view text) {
  CREDSYNC_LET(json, parse_object(text));
  AccountStatus status = read_status(json);
  if (status.account.empty() || status.state.empty()) return not_understood("no status of an account");
  return status;
}

Outcome<std::vector<AccountStatus>> parse_statuses(std::string_view text) {
  return required_list(text, "accounts", read_status);
}

Outcome<WhoAmI> parse_whoami(std::string_view text) {
  CREDSYNC_LET(json, parse_object(text));
  const auto uid = number_of(json, "uid");
  if (!uid) return not_understood("no uid in it");
  return WhoAmI{*uid,
                text_of(json, "user"),
                number_of(json, "gid").value_or(-1),
                list_of(json, "groups", read_group),
                number_of(json, "pid").value_or(0),
                text_of(json, "unit"),
                text_of(json, "unit_why"),
                text_of(json, "exe"),
                text_of(json, "exe_why"),
                list_of(json, "accounts", read_rights)};
}

Outcome<std::vector<ProviderSummary>> parse_providers(std::string_view text) {
  return required_list(text, "providers", read_provider);
}

Outcome<ProviderDetails> parse_provider(std::string_view text) {
  CREDSYNC_LET(json, parse_object(text));
  ProviderDetails details{text_of(json, "id"), text_of(json, "title"), text_of(json, "docs"),
                          list_of(json, "facts", read_fact)};
  if (details.id.empty()) return not_understood("no provider in it");
  return details;
}

Outcome<ReloadReport> parse_reload(std::string_view text) {
  CREDSYNC_LET(json, parse_object(text));
  return ReloadReport{texts_of(json, "changed"), texts_of(json, "added"), texts_of(json, "removed"),
                      texts_of(json, "warnings")};
}

Outcome<std::vector<DoctorCheck>> parse_doctor(std::string_view text) {
  return required_list(text, "checks", read_check);
}

Outcome<std::vector<AuditRecord>> parse_audit(std::string_view text) {
  return required_list(text, "records", read_audit);
}

Outcome<std::vector<std::string>> audit_lines(std::string_view text) {
  return required_list(text, "records", [](const Json& record) { return dumped(record, -1); });
}

Outcome<AuditRecord> parse_audit_line(std::string_view line) {
  CREDSYNC_LET(json, parse_object(line));
  return read_audit(json);
}

Outcome<LoginView> parse_login(std::string_view text) {
  CREDSYNC_LET(json, parse_object(text));
  LoginView view = read_login(json);
  if (!is_login_id(view.id) || view.phase.empty()) return not_understood("no sign-in session in it");
  return view;
}

Outcome<SignedOut> parse_signed_out(std::string_view text) {
  CREDSYNC_LET(json, parse_object(text));
  return SignedOut{text_of(json, "account"), number_of(json, "pending").value_or(0)};
}

Outcome<Rejected> parse_rejected(std::string_view text) {
  CREDSYNC_LET(json, parse_object(text));
  const auto generation = number_of(json, "generation");
  if (!generation) return not_understood("no generation in it");
  return Rejected{text_of(json, "account"), *generation};
}

Outcome<Change> parse_change(std::string_view text) {
  CREDSYNC_LET(json, parse_object(text));
  Change change{text_of(json, "account"), text_of(json, "state"), number_of(json, "generation").value_or(0),
                time_of(json, "since"), time_of(json, "expires_at")};
  if (change.account.empty()) return not_understood("an event without an account");
  return change;
}

Problem parse_problem(std::string_view text) {
  const auto json = parse_object(text);
  if (!json) return {};
  std::string type = text_of(*json, "type");
  std::string name = type.starts_with(ipc::kProblemPrefix) ? type.substr(ipc::kProblemPrefix.size()) : "";
  std::string detail = text_of(*json, "detail");
  if (detail.empty()) detail = text_of(*json, "title");
  return {std::move(name), std::move(detail), text_of(*json, "next_step"), texts_of(*json, "problems"),
          flag_of(*json, "stopping", false)};
}

std::string parse_version(std::string_view text) {
  const auto json = parse_object(text);
  return json ? text_of(*json, "version") : std::string();
}

Outcome<std::string> pretty_json(std::string_view text) {
  return layout(text, 2);
}
Outcome<std::string> compact_json(std::string_view text) {
  return layout(text, -1);
}

}  // namespace credsync::cli
