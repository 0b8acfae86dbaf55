// The daemon's JSON, read into the values of answers.h. Pure. Members that are missing or of another type
// than the contract says are taken as absent, so that a newer daemon can be talked to; an answer without what
// it is for is a Failure. The JSON library stays in json.cc, where its compile time is paid once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/answers.h"
#include "cli/failure.h"

namespace credsync::cli {

Outcome<TokenAnswer> parse_token(std::string_view text);
Outcome<AccountStatus> parse_status(std::string_view text);
Outcome<std::vector<AccountStatus>> parse_statuses(std::string_view text);
Outcome<WhoAmI> parse_whoami(std::string_view text);
Outcome<std::vector<ProviderSummary>> parse_providers(std::string_view text);
Outcome<ProviderDetails> parse_provider(std::string_view text);
Outcome<ReloadReport> parse_reload(std::string_view text);
Outcome<std::vector<DoctorCheck>> parse_doctor(std::string_view text);
Outcome<std::vector<AuditRecord>> parse_audit(std::string_view text);
// Each record of it as JSON in one line, and one such line.
Outcome<std::vector<std::string>> audit_lines(std::string_view text);
Outcome<AuditRecord> parse_audit_line(std::string_view line);
Outcome<LoginView> parse_login(std::string_view text);
Outcome<SignedOut> parse_signed_out(std::string_view text);
Outcome<Rejected> parse_rejected(std::string_view text);
Outcome<Change> parse_change(std::string_view text);

// Never fails: what is no problem document gives an empty one.
Problem parse_problem(std::string_view text);
// The daemon's version as its health answer says it, or empty.
std::string parse_version(std::string_view text);

// The same JSON in ASCII, checked and laid out: safe for a terminal, since everything else is escaped.
Outcome<std::string> pretty_json(std::string_view text);
Outcome<std::string> compact_json(std::string_view text);

}  // namespace credsync::cli
