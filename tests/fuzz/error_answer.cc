// Refusals in all their spellings, at every endpoint that answers with them (RFC 6749, 5.2; RFC 7009; RFC 7662; RFC 9126),
// and who somebody is (OpenID Connect Core, 5.3).
#include <variant>

#include "daemon/oauth/answer_body.h"
#include "daemon/oauth/authorize_request.h"
#include "daemon/oauth/error_rules.h"
#include "daemon/oauth/userinfo.h"
#include "tests/fuzz/answers.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

void check_revocation(const provider::Profile& profile, const oauth::HttpResponse& response) {
  const auto outcome = oauth::read_revocation_answer(profile, response, secrets());
  if (outcome.result != oauth::RevocationResult::kDone) return check_failure(outcome.failure);
  // A page or a redirect is somebody else's answer: the token lives.
  HOLDS(response.status < 300 || response.status >= 400);
  HOLDS(response.status < 500);
}

void check_introspection(const oauth::HttpResponse& response) {
  const auto told = oauth::read_introspection(response);
  if (!told) {
    HOLDS(is_fit_to_show(told.error().message()));
    HOLDS(!shows_canary(told.error().message()));
    return;
  }
  HOLDS(!told->expires_at || (*told->expires_at >= WallTime{} && *told->expires_at <= kWallMax));
}

void check_push(const provider::Profile& profile, const oauth::HttpResponse& response) {
  const auto pushed = oauth::read_push_answer(profile, response, secrets());
  if (const auto* failure = std::get_if<oauth::Failure>(&pushed)) return check_failure(*failure);
  const auto& good = std::get<oauth::Pushed>(pushed);
  HOLDS(!good.request_uri.empty());
  HOLDS(good.expires_in >= 5s && good.expires_in <= 1h);
}

void check_userinfo(const oauth::HttpResponse& response) {
  const Secret token{kCanary};
  const oauth::Userinfo who = oauth::read_userinfo(response, token);
  for (const std::string& shown : {who.subject, who.display}) {
    HOLDS(is_fit_to_show(shown));
    HOLDS(shown.find(kCanary) == shown.npos);
    HOLDS(shown.size() <= kForeignTextLimit);
  }
}

}  // namespace

void run(Input input) {
  const Asking asking = read_asking(input);
  const oauth::HttpResponse response = read_response(input);
  const oauth::AnswerBody body = oauth::read_answer_body(response, asking.profile.answer.format);
  const oauth::Failure failure =
      oauth::classify_answer(asking.profile, response, body, asking.kind, oauth::Redactor(secrets()));
  check_failure(failure);
  // A page says nothing of the grant, whatever stands in it: a captive portal must sign nobody out.
  const bool page = body.kind == oauth::AnswerBody::Kind::kHtml;
  HOLDS(!page || failure.failure_class != oauth::FailureClass::kNeedsLogin);
  check_revocation(asking.profile, response);
  check_introspection(response);
  check_push(asking.profile, response);
  check_userinfo(response);
}
