#include "daemon/login/pages.h"

#include <openssl/evp.h>

#include <array>

#include "base/check.h"
#include "base/encoding.h"

namespace credsync::login {
namespace {

// Contrast of text is 7:1 or better in both schemes. `color-scheme` lets the browser's own parts follow.
constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--back:#f3f4f6;--card:#fff;--text:#1b1f24;--soft:#454c55;--line:#d5d9de;--good:#0a5c36;--bad:#8c1d18}
@media(prefers-color-scheme:dark){:root{--back:#131619;--card:#1d2125;--text:#eceef0;--soft:#c0c6cc;--line:#3a4149;--good:#7fdcaa;--bad:#ffb4ab}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--back);color:var(--text);font:1.0625rem/1.55 system-ui,sans-serif}
main{width:100%;max-width:34rem;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem;overflow-wrap:anywhere}
svg{width:3rem;height:3rem;display:block;margin-bottom:1rem;fill:none;stroke:currentColor;stroke-width:2.5;stroke-linecap:round;stroke-linejoin:round}
.good svg{color:var(--good)}.bad svg{color:var(--bad)}.plain svg{color:var(--soft)}
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}
p{margin:.5rem 0}.soft{color:var(--soft)}
code{display:inline-block;padding:.15rem .45rem;border:1px solid var(--line);border-radius:.35rem;font:.9375rem/1.4 ui-monospace,monospace}
)";

// Runs where no other script may: the policy names its hash. The fragment is off the address bar and out of the history
// before anything else happens.
constexpr std::string_view kCatcherScript = R"(
(async () => {
  const fragment = location.hash.slice(1);
  history.replaceState(null, '', location.pathname);
  document.querySelector('[role=status]').textContent = 'One moment, please.';
  const say = (title, text) => {
    document.title = title;
    document.querySelector('h1').textContent = title;
    document.querySelector('[role=status]').textContent = text;
  };
  if (!fragment) return say('Nothing came back', 'The address had no answer in it. Start the sign-in again in the terminal.');
  try {
    const answer = await fetch(location.pathname, {
      method: 'POST', body: fragment, cache: 'no-store', credentials: 'omit', redirect: 'error',
      headers: {'Content-Type': 'application/x-www-form-urlencoded'}
    });
    if (answer.ok) return location.replace(document.querySelector('main').dataset.outcome);
    say('This answer does not fit', await answer.text());
  } catch (problem) {
    say('credsync did not answer', 'Look at the terminal: the sign-in may be over.');
  }
})();
)";

constexpr std::string_view kCheckMark =
    R"(<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="m7.5 12.5 3 3 6-6.5"/></svg>)";
constexpr std::string_view kCross =
    R"(<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="m8.5 8.5 7 7m0-7-7 7"/></svg>)";
constexpr std::string_view kClock =
    R"(<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="M12 7v5.5l3.5 2"/></svg>)";

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string paragraph(std::string_view html, std::string_view attributes = {}) {
  return "<p" + std::string(attributes.empty() ? "" : " ") + std::string(attributes) + ">" + std::string(html) + "</p>";
}

// Words are written for a terminal's line: here they stand as a sentence. A single word is a code of the provider's.
std::string sentence(std::string words) {
  if (words.empty()) return words;
  if (words.find(' ') == words.npos) return "The provider says: " + words + ".";
  if (words[0] >= 'a' && words[0] <= 'z') words[0] = static_cast<char>(words[0] - 'a' + 'A');
  const bool ended = std::string_view(".:!?").find(words.back()) != std::string_view::npos;
  return ended ? words : words + ".";
}

std::string code(std::string_view text) {
  return "<code>" + escape(text) + "</code>";
}

std::string policy_of(std::string_view more = {}) {
  return "default-src 'none'; style-src '" + inline_hash(kStyle) + "'; base-uri 'none'; form-action 'none'; " +
         "frame-ancestors 'none'" + std::string(more);
}

struct Look {
  std::string_view tone;  // "good", "bad", "plain"
  std::string_view icon;
};

std::string document(const std::string& title, const Look& look, const std::string& body, std::string_view more = {}) {
  return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" +
         escape(title) + "</title>\n<style>" + std::string(kStyle) + "</style>\n</head>\n<body>\n<main class=\"" +
         std::string(look.tone) + "\"" + std::string(more) + ">\n" + std::string(look.icon) + "\n<h1>" + escape(title) +
         "</h1>\n" + body + "\n</main>\n";
}

constexpr std::string_view kEnd = "</body>\n</html>\n";

std::string who_at(const PageSubject& subject) {
  return "Account " + code(subject.account) + " at " + escape(subject.provider) + ".";
}

std::string title_of(const PageSubject& subject, PageKind kind) {
  switch (kind) {
    case PageKind::kDone: return "You are signed in to " + subject.provider;
    case PageKind::kDenied: return "Access to " + subject.provider + " was declined";
    case PageKind::kFailed: return "The sign-in to " + subject.provider + " failed";
    case PageKind::kOver: break;
  }
  return "This sign-in is over";
}

Look look_of(PageKind kind) {
  switch (kind) {
    case PageKind::kDone: return {"good", kCheckMark};
    case PageKind::kDenied:
    case PageKind::kFailed: return {"bad", kCross};
    case PageKind::kOver: break;
  }
  return {"plain", kClock};
}

}  // namespace

std::string inline_hash(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  CHECK(::EVP_Digest(text.data(), text.size(), digest.data(), &size, ::EVP_sha256(), nullptr) == 1);
  const char* bytes = reinterpret_cast<const char*>(digest.data());
  return "sha256-" + encode_base64(std::string_view(bytes, size));
}

Page outcome_page(const PageSubject& subject, const PageOutcome& outcome) {
  const bool done = outcome.kind == PageKind::kDone;
  std::string body = paragraph(who_at(subject), "class=\"soft\"");
  if (done && !outcome.identity.empty())
    body += paragraph("Signed in as <strong>" + escape(outcome.identity) + "</strong>.");
  if (!outcome.words.empty()) body += paragraph(escape(sentence(outcome.words)), "role=\"alert\"");
  body += paragraph("You can close this window.", done ? "role=\"status\"" : "");
  if (!outcome.next_step.empty())
    body += paragraph((done ? "Go on in the terminal: " : "To try again: ") + code(outcome.next_step));
  const std::string title = title_of(subject, outcome.kind);
  return {200, policy_of(), document(title, look_of(outcome.kind), body) + std::string(kEnd)};
}

Page stray_page(const PageSubject& subject, std::string_view words) {
  const std::string body =
      paragraph(escape(sentence(std::string(words))), "role=\"alert\"") +
      paragraph("The sign-in of account " + code(subject.account) + " at " + escape(subject.provider) +
                    " still waits for its own answer. Nothing has changed.",
                "class=\"soft\"");
  return {400, policy_of(), document("This answer does not fit", {"plain", kClock}, body) + std::string(kEnd)};
}

Page catcher_page(const PageSubject& subject, std::string_view outcome_path) {
  const std::string body =
      paragraph(who_at(subject), "class=\"soft\"") + paragraph("", "role=\"status\"") +
      "<noscript><p>This page needs JavaScript to hand the answer over. Copy the whole address of this window and paste "
      "it where credsync asks for it in the terminal, then close this window.</p></noscript>";
  const std::string data = " data-outcome=\"" + escape(outcome_path) + "\"";
  const std::string more = "; script-src '" + inline_hash(kCatcherScript) + "'; connect-src 'self'";
  return {200, policy_of(more),
          document("Signing in to " + subject.provider, {"plain", kClock}, body, data) + "<script>" +
              std::string(kCatcherScript) + "</script>\n" + std::string(kEnd)};
}

}  // namespace credsync::login
