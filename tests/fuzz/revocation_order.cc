// Stored orders to revoke (JSON inside a seal): what is read is written and read the same, and every request made of one
// is one that can be sent.
#include <algorithm>

#include "base/text.h"
#include "daemon/oauth/token_request.h"
#include "tests/fakes/fake_random.h"
#include "tests/fuzz/answers.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

void check_request(const oauth::RevocationOrder& order, oauth::TokenKind kind) {
  fakes::FakeRandom random;
  const Secret token{kCanary};
  const auto request = oauth::build_revocation_request(order, kind, token, kSent, random);
  if (!request) {
    HOLDS(!shows_canary(request.error().message()));
    return;
  }
  for (const oauth::Header& header : request->headers)
    HOLDS(oauth::is_header_name(header.name) && oauth::is_header_value(header.value));
  HOLDS(request->method != "GET" || request->body.text().empty());
}

}  // namespace

void run(Input input) {
  const Secret text{with_canaries(input.rest())};
  const auto order = oauth::parse_revocation_order(text);
  if (!order) {
    HOLDS(is_fit_to_show(order.error().message()) && !shows_canary(order.error().message()));
    return;
  }
  HOLDS(!order->url.empty() && order->rules.revoke.how != provider::RevokeHow::kNone);
  const Secret written = oauth::serialise(*order);
  const auto again = oauth::parse_revocation_order(written);
  HOLDS(again);
  HOLDS(oauth::serialise(*again).expose() == written.expose());
  // A key that signs is made by OpenSSL from PEM text; that is its parser, and slow.
  if (!order->private_key.empty()) return;
  check_request(*order, oauth::TokenKind::kAccess);
  check_request(*order, oauth::TokenKind::kRefresh);
}
