// Recovery keys as people type them: what is taken is written back as the same key, one mistake is always noticed, and no
// refusal repeats what was typed.
//
//   eight bytes that say which character is changed to which
//   the text
#include "daemon/store/recovery_key.h"

#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

void run(Input input) {
  static const bool started = (store::start_sealing(), true);
  static_cast<void>(started);
  const std::uint64_t change = input.number();
  const auto key = store::RecoveryKey::parse(input.rest());
  if (!key) {
    HOLDS(is_fit_to_show(key.error().message()) && key.error().message().size() < 100);
    return;
  }
  std::string text = key->text().text();
  HOLDS(text.size() == 47);
  const auto again = store::RecoveryKey::parse(text);
  HOLDS(again && again->text().text() == text && again->key().id() == key->key().id());
  constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const std::size_t at = change % text.size();
  const char other = kAlphabet[(change >> 8) % kAlphabet.size()];
  if (text[at] == '-' || text[at] == other) return;
  text[at] = other;
  HOLDS(!store::RecoveryKey::parse(text));
}
