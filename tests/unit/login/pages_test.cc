// What a person's browser shows: nothing from elsewhere, nothing that a provider could smuggle in, and a policy that fits.
#include <gtest/gtest.h>

#include <regex>

#include "daemon/login/pages.h"

namespace credsync::login {
namespace {

const PageSubject kSubject{"Flat", "flat-me"};

std::string between(const std::string& text, const std::string& from, const std::string& to) {
  const std::size_t begin = text.find(from) + from.size();
  return text.substr(begin, text.find(to, begin) - begin);
}
std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at)
    ++n;
  return n;
}

std::vector<Page> all_pages() {
  std::vector<Page> pages;
  for (const PageKind kind : {PageKind::kDone, PageKind::kDenied, PageKind::kFailed, PageKind::kOver})
    pages.push_back(outcome_page(kSubject, {kind, "alice", "words", "credsync login flat-me"}));
  pages.push_back(stray_page(kSubject, "words"));
  pages.push_back(catcher_page(kSubject, "/outcome"));
  return pages;
}

TEST(PagesTest, AreWholeDocumentsWithALanguageATitleAndOneHeading) {
  for (const Page& page : all_pages()) {
    EXPECT_EQ(page.html.find("<!doctype html>\n<html lang=\"en\">"), 0U);
    EXPECT_EQ(count(page.html, "<h1>"), 1U);
    EXPECT_EQ(count(page.html, "<main"), 1U);
    EXPECT_EQ(between(page.html, "<title>", "</title>"), between(page.html, "<h1>", "</h1>"));
    EXPECT_NE(page.html.find("width=device-width"), std::string::npos);
    EXPECT_NE(page.html.find("prefers-color-scheme:dark"), std::string::npos);
  }
}

TEST(PagesTest, ThePolicyAllowsTheInlineStyleAndNothingElse) {
  for (const Page& page : all_pages()) {
    const std::string style = inline_hash(between(page.html, "<style>", "</style>"));
    EXPECT_NE(page.policy.find("default-src 'none'; style-src '" + style + "';"), std::string::npos);
    for (const char* rule : {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"})
      EXPECT_NE(page.policy.find(rule), std::string::npos) << rule;
    EXPECT_EQ(page.policy.find("unsafe"), std::string::npos);
    EXPECT_EQ(page.html.find(" style="), std::string::npos) << "a style attribute would be blocked";
    EXPECT_FALSE(std::regex_search(page.html, std::regex(R"((src|href)\s*=|url\(|@import|https?://)")));
    const bool has_script = page.html.find("<script>") != std::string::npos;
    EXPECT_EQ(page.policy.find("script-src") != std::string::npos, has_script);
    if (!has_script) continue;
    EXPECT_NE(page.policy.find(inline_hash(between(page.html, "<script>", "</script>"))), std::string::npos);
    EXPECT_NE(page.policy.find("connect-src 'self'"), std::string::npos);
  }
}

TEST(PagesTest, OnlyTheCatcherHasAScript) {
  const auto pages = all_pages();
  for (std::size_t i = 0; i + 1 < pages.size(); ++i)
    EXPECT_EQ(pages[i].html.find("<script"), std::string::npos);
  const std::string& catcher = pages.back().html;
  EXPECT_LT(catcher.find("history.replaceState"), catcher.find("fetch(")) << "the address bar is wiped first";
  EXPECT_NE(catcher.find("<noscript>"), std::string::npos);
}

TEST(PagesTest, SayWhoWhatAndHowToGoOn) {
  const Page done = outcome_page(kSubject, {PageKind::kDone, "alice@example.org", "", "credsync status flat-me"});
  for (const char* words :
       {"You are signed in to Flat", "flat-me", "alice@example.org", "close this window", "credsync status flat-me"})
    EXPECT_NE(done.html.find(words), std::string::npos) << words;
  const Page denied = outcome_page(kSubject, {PageKind::kDenied, "", "consent was denied", "credsync login flat-me"});
  for (const char* words :
       {"Access to Flat was declined", "Consent was denied.", "role=\"alert\"", "credsync login flat-me"})
    EXPECT_NE(denied.html.find(words), std::string::npos) << words;
}

TEST(PagesTest, ACodeOfTheProvidersStaysAsItIs) {
  const Page failed = outcome_page(kSubject, {PageKind::kFailed, "", "invalid_grant", "credsync login flat-me"});
  EXPECT_NE(failed.html.find(">The provider says: invalid_grant.<"), std::string::npos) << failed.html;
}

TEST(PagesTest, ForeignTextIsOnlyText) {
  const std::string evil = R"(<script>alert(1)</script>"><img src=x onerror='x'>&amp;)";
  const PageSubject subject{evil, "a"};
  for (const Page& page : {outcome_page(subject, {PageKind::kFailed, evil, evil, evil}),
                           outcome_page(subject, {PageKind::kDone, evil, evil, evil}), stray_page(subject, evil),
                           catcher_page(subject, "/outcome")}) {
    EXPECT_EQ(page.html.find("<script>alert"), std::string::npos);
    EXPECT_EQ(page.html.find("<img"), std::string::npos);
    EXPECT_NE(page.html.find("&lt;script&gt;"), std::string::npos);
    EXPECT_EQ(page.policy.find("alert"), std::string::npos);
  }
}

}  // namespace
}  // namespace credsync::login
