// What a person and a program are told about a sign-in: problems, pages, the view's first state. Pure.
#pragma once

#include <string>

#include "daemon/config/config.h"
#include "daemon/login/completion.h"
#include "daemon/login/pages.h"
#include "ipc/service.h"

namespace credsync::login {

std::string login_command_of(const std::string& account);

// Its title, or its id.
std::string provider_title(const config::Account& account);
ipc::LoginView first_view(const config::Account& account);

ipc::Problem login_over(const std::string& account, const std::string& words);
// Why a session could not begin: the provider, or what we need to ask it, is not in order.
ipc::Problem not_begun(const config::Account& account, const oauth::Failure& failure);
// Why a session failed, for its view.
ipc::Problem why_failed(const config::Account& account, const NotCompleted& why);
NotCompleted from_failure(const oauth::Failure& failure);

PageOutcome page_of(const ipc::LoginView& view);

// Asked for, not granted.
std::vector<std::string> missing_of(const std::vector<std::string>& asked, const std::vector<std::string>& granted);

}  // namespace credsync::login
