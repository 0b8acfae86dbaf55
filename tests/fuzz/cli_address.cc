// What a terminal sends while a person types or pastes an address: no key, sequence or line break becomes part of it.
#include "cli/typed_address.h"

#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;
using cli::TypedAddress;

void run(Input input) {
  constexpr std::size_t kLongest = 48 * 1024;
  TypedAddress address;
  const std::string text = with_repeats(input.rest(), 2 * kLongest);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t before = address.size();
    const auto step = address.feed(text[i]);
    HOLDS(address.size() <= kLongest);
    HOLDS(address.size() <= before + 1);
    if (address.size() > before)
      HOLDS(static_cast<unsigned char>(address.text().back()) > ' ' && address.text().back() != 127);
    if (step == TypedAddress::Step::kMore) continue;
    HOLDS(step != TypedAddress::Step::kTooLong || address.size() == kLongest);
    address.clear();
    HOLDS(address.size() == 0 && address.text().capacity() >= kLongest);  // nothing left behind by growing
  }
}
