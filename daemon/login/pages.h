// The pages that a person's browser shows after it came back: one small HTML document each, without anything from
// elsewhere, in light and dark, readable without style and without script (but for the catcher). Pure. What comes from a
// provider is escaped here, and was cleaned before.
#pragma once

#include <string>
#include <string_view>

namespace credsync::login {

// Whom the pages speak of.
struct PageSubject {
  std::string provider;  // its title
  std::string account;
};

enum class PageKind { kDone, kDenied, kFailed, kOver };

struct PageOutcome {
  PageKind kind = PageKind::kFailed;
  std::string identity;   // kDone: who signed in; may be empty
  std::string words;      // why not, for people
  std::string next_step;  // a command; may be empty
};

// A whole answer: the header's policy and the document.
struct Page {
  int status = 200;
  std::string policy;  // Content-Security-Policy
  std::string html;
};

Page outcome_page(const PageSubject& subject, const PageOutcome& outcome);
// A request that is no answer to the sign-in which waits here: the wait goes on.
Page stray_page(const PageSubject& subject, std::string_view words);
// The implicit grant's answer lies in the fragment, which only the browser sees: this page wipes it from address bar and
// history, hands it to us with POST, and goes on to `outcome_path`.
Page catcher_page(const PageSubject& subject, std::string_view outcome_path);

// "sha256-…" of an inline style or script (CSP Level 3, 2.3.1).
std::string inline_hash(std::string_view text);

}  // namespace credsync::login
