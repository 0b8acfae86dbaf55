// The JSON bodies of all answers but the token's, and the events of a stream, exactly as docs/http-api.yaml
// has them. Pure.
#pragma once

#include <string>
#include <vector>

#include "ipc/service.h"

namespace credsync::ipc::http {

std::string render(const AccountStatus& status);
// A list in parts: `body` is empty before the first, and whole after the last.
void append_part(std::string& body, const AccountList& part);
std::string render(const RejectAnswer& answer);
std::string render(const LoginView& view);
std::string render(const SignOutAnswer& answer);
std::string render(const WhoAmI& answer);
std::string render(const std::vector<ProviderSummary>& providers);
std::string render(const ProviderDetail& provider);
std::string render(const ReloadAnswer& answer);
std::string render(const std::vector<Check>& checks);
std::string render(const std::vector<AuditRecord>& records);
std::string render_health();

// One server-sent event (HTML standard, 9.2), with its blank line.
std::string render(const Event& event);

}  // namespace credsync::ipc::http
