// The daemon's JSON as the command shows it: nothing in it steers a terminal, addresses are ones that can be opened, and
// numbers that count are no less than nothing.
#include "cli/answers.h"

#include "cli/json.h"
#include "cli/text.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

constexpr std::size_t kLongestText = 2048;
bool has_minus = false;  // in the text: numbers may be less than nothing where it says so

void check_count(std::int64_t count) {
  HOLDS(count >= 0 || has_minus);
}

void check_text(const std::string& text) {
  HOLDS(is_fit_to_show(text));
  HOLDS(text.size() <= kLongestText + 64);
}
void check_texts(const std::vector<std::string>& texts) {
  for (const std::string& text : texts)
    check_text(text);
}
void check_address(const std::string& address) {
  if (address.empty()) return;
  HOLDS(address.starts_with("https://") || address.starts_with("http://"));
  for (const char c : address)
    HOLDS(c > ' ' && c < 127);
}

void check_status(const cli::AccountStatus& status) {
  for (const std::string* text : {&status.account, &status.provider, &status.grant, &status.state})
    check_text(*text);
  check_texts(status.scope);
  check_texts(status.notes);
  check_texts(status.actions);
  if (status.error) check_text(status.error->message);
  if (status.next_step) check_text(status.next_step->command);
  for (const std::int64_t count : {status.generation, status.retiring.pending, status.retiring.unrevoked,
                                   status.expires_in.value_or(0), status.lifetime.value_or(0)})
    check_count(count);
}

void check_login(const cli::LoginView& view) {
  HOLDS(!view.id.empty() && view.id.find_first_not_of("0123456789abcdefABCDEF") == view.id.npos);
  for (const std::string* text : {&view.account, &view.provider, &view.provider_title, &view.client_id, &view.grant,
                                  &view.method, &view.phase, &view.redirect_uri, &view.user_code, &view.identity})
    check_text(*text);
  for (const std::string* address : {&view.url, &view.verification_uri, &view.verification_uri_complete})
    check_address(*address);
  check_texts(view.scopes);
  check_texts(view.granted);
  check_texts(view.missing);
  if (view.error) check_text(view.error->detail);
  check_count(view.generation);
  check_count(view.expires_in);
}

void check_who(const cli::WhoAmI& who) {
  for (const std::string* text : {&who.user, &who.unit, &who.unit_why, &who.exe, &who.exe_why})
    check_text(*text);
  check_texts(who.groups);
  for (const auto& account : who.accounts) {
    check_text(account.account);
    for (const auto& rule : account.rules)
      check_text(rule.why);
  }
}

void check_record(const cli::AuditRecord& record) {
  for (const std::string* text :
       {&record.action, &record.decision, &record.account, &record.unit, &record.exe, &record.rule, &record.detail})
    check_text(*text);
  check_count(record.generation.value_or(0));
  check_count(record.count);
}

void check_lists(std::string_view text) {
  if (const auto all = cli::parse_statuses(text)) {
    for (const auto& status : *all)
      check_status(status);
  }
  if (const auto all = cli::parse_providers(text)) {
    for (const auto& one : *all)
      check_text(one.title);
  }
  if (const auto all = cli::parse_doctor(text)) {
    for (const auto& one : *all)
      check_text(one.detail);
  }
  if (const auto all = cli::parse_audit(text)) {
    for (const auto& one : *all)
      check_record(one);
  }
  if (const auto lines = cli::audit_lines(text)) {
    for (const std::string& line : *lines) {
      HOLDS(is_fit_to_show(line));
      const auto record = cli::parse_audit_line(line);
      HOLDS(record);
      check_record(*record);
    }
  }
}

// The layout of JSON is JSON again, in visible ASCII.
void check_layout(std::string_view text) {
  const auto compact = cli::compact_json(text);
  if (!compact) return;
  for (const char c : *compact)
    HOLDS(c >= 0x20 && c < 0x7f);
  const auto again = cli::compact_json(*compact);
  HOLDS(again && *again == *compact);
  const auto pretty = cli::pretty_json(text);
  HOLDS(pretty);
  const auto back = cli::compact_json(*pretty);
  HOLDS(back && *back == *compact);
}

}  // namespace

void run(Input input) {
  const std::string text = with_repeats(input.rest(), 64 * 1024);
  has_minus = text.find('-') != text.npos;
  if (const auto status = cli::parse_status(text)) check_status(*status);
  if (const auto login = cli::parse_login(text)) check_login(*login);
  if (const auto who = cli::parse_whoami(text)) check_who(*who);
  check_lists(text);
  check_layout(text);
  if (const auto token = cli::parse_token(text)) {
    HOLDS(!token->access_token.empty());
    check_text(token->state);
    check_text(token->header_name);
  }
  if (const auto change = cli::parse_change(text)) {
    HOLDS(!change->account.empty());
    check_count(change->generation);
    check_text(change->account);
    check_text(change->state);
  }
  if (const auto out = cli::parse_signed_out(text)) check_count(out->pending);
  if (const auto rejected = cli::parse_rejected(text)) check_count(rejected->generation);
  if (const auto report = cli::parse_reload(text)) check_texts(report->warnings);
  if (const auto details = cli::parse_provider(text)) check_text(details->title);
  const cli::Problem problem = cli::parse_problem(text);
  check_text(problem.name);
  check_text(problem.detail);
  check_text(problem.next_step);
  check_text(cli::parse_version(text));
}
