// Key sets of an issuer (RFC 7517, RFC 7518, RFC 8037): unfit keys are left out, no signature is good that nobody made.
//
//   A                the algorithm
//   the key set, the rest
#include "daemon/oauth/jwks.h"

#include "daemon/oauth/jose.h"
#include "tests/fuzz/answers.h"

using namespace credsync;
using namespace credsync::fuzz;

void run(Input input) {
  constexpr std::string_view kNames[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
                                         "ES384", "ES512", "EdDSA", "HS256", "none",  "rs256"};
  const oauth::Algorithm* algorithm = oauth::find_algorithm(kNames[input.choice(std::size(kNames))]);
  const auto keys = oauth::KeySet::parse(input.rest());
  if (!keys) {
    HOLDS(is_fit_to_show(keys.error().message()));
    return;
  }
  if (algorithm == nullptr || algorithm->family == oauth::Algorithm::Family::kHmac) return;
  // Each length that an algorithm has, and others. A key made for it could sign, but not this.
  for (const std::size_t size : {0U, 1U, 64U, 96U, 132U, 256U, 2048U}) {
    for (const char byte : {'\0', '\1', '\xff'}) {
      const auto check = keys->verify(*algorithm, "", "header.payload", std::string(size, byte));
      HOLDS(check != oauth::KeySet::Check::kGood);
    }
  }
}
