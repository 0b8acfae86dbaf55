// What lies inside the seals of the store: what decodes, encodes to the same again, and sealing changes nothing of it.
//
//   K                what it is decoded as
//   the bytes
#include "daemon/store/codec.h"

#include <variant>

#include "daemon/store/sealer.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

// A flag is written as 1 and any number but 0 is read as one, so the second writing is the one that must stay.
// `lacking`: how many bytes of what is written now an older layout, which is read too, does not have.
template <typename Decode, typename Encode>
void check_round(std::string_view bytes, Decode decode, Encode encode, std::size_t lacking = 0) {
  const auto first = decode(bytes);
  if (!first) {
    HOLDS(first.error().code() == ErrorCode::kCorrupt);
    HOLDS(is_fit_to_show(first.error().message()));
    return;
  }
  const WipedString written = encode(*first);
  const auto second = decode(written.text());
  HOLDS(second);
  HOLDS(encode(*second).text() == written.text());
  HOLDS(written.text().size() <= bytes.size() + lacking);
  HOLDS(!decode(written.text() + '\0'));  // to its last byte
  HOLDS(!decode(std::string_view(written.text()).substr(0, written.text().size() - 1)));
}

void check_tokens(std::string_view bytes) {
  check_round(bytes, store::decode_tokens, store::encode_tokens);
}

void check_retirement(std::string_view bytes) {
  check_round(bytes, store::decode_retirement, [](const store::RetirementSecrets& secrets) {
    store::Retirement retirement;
    retirement.token = secrets.token.clone();
    retirement.order = secrets.order.clone();
    return store::encode_retirement(retirement);
  });
}

void check_answer(std::string_view bytes) {
  constexpr std::size_t kPromise = 8;  // an answer of version 1 has no moment until which was promised
  check_round(
      bytes, store::decode_answer,
      [](const store::Answer& answer) { return store::encode_answer(answer.change, answer.sequence); }, kPromise);
}

void check_seal(Input input) {
  static const store::Key key = store::Key::from("0123456789abcdef0123456789abcdef");
  const store::Place place{"accounts.tokens", "flat-me", 7, 0};
  const std::string_view foreign = input.rest();
  HOLDS(!store::open(key, foreign, place));  // nobody seals without the key
  std::string sealed = store::seal(key, foreign, place);
  HOLDS(sealed.size() == foreign.size() + store::kSealOverhead);
  const auto opened = store::open(key, sealed, place);
  HOLDS(opened && opened->text() == foreign);
  HOLDS(!store::open(key, sealed, {"accounts.tokens", "flat-me", 6, 0}));
  const std::size_t at = (foreign.empty() ? 0 : static_cast<unsigned char>(foreign[0])) % sealed.size();
  sealed[at] = static_cast<char>(sealed[at] ^ 1);
  HOLDS(!store::open(key, sealed, place));
}

}  // namespace

void run(Input input) {
  static const bool started = (store::start_sealing(), true);
  static_cast<void>(started);
  switch (input.choice(4)) {
    case 0: return check_tokens(input.rest());
    case 1: return check_retirement(input.rest());
    case 2: return check_answer(input.rest());
    default: return check_seal(input);
  }
}
