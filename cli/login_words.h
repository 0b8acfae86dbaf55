// What `credsync login` says about a sign-in session. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "cli/answers.h"
#include "cli/failure.h"
#include "cli/qr_code.h"
#include "cli/terminal.h"

namespace credsync::cli {

// A sentence as lines that fit the view.
std::string paragraph(const std::string& words, const View& view);

// What is being asked: provider, client, scopes; and a line of warning where the grant deserves one.
std::string introduction(const LoginView& login, const View& view);

// RFC 9700, sections 2.1.2 and 2.4: what is lost with these grants. Empty for the others.
std::string grant_warning(const std::string& grant);

struct BrowserRoad {
  bool opened = false;     // a browser was started here
  std::string why_not;     // else why, when there is something to say
  bool can_paste = false;  // what is typed is read
};
std::string browser_words(const LoginView& login, const BrowserRoad& road, const View& view);
std::string device_words(const LoginView& login, const QrDrawing& qr, const View& view);

// One line that fits the view: how long is left, what Ctrl-C does, how much of an address was typed.
std::string progress_line(const LoginView& login, std::int64_t seconds_left, std::size_t typed, const View& view);

// In the end: what was granted, and what was asked for and was not.
std::string ending_words(const LoginView& login, const View& view);
// What went wrong, what to do about it, and how to exit.
Failure login_failure(const LoginView& login);

}  // namespace credsync::cli
