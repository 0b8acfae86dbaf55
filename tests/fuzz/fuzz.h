// What the fuzz targets share. A target is one file with `run`, which must end quietly whatever bytes it gets; what it
// promises besides is said with HOLDS. tests/fuzz/README.md says how inputs are laid out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace credsync::fuzz {

// Prints what did not hold and ends the process, so that the fuzzer keeps the input.
[[noreturn]] void broken(const char* promise, const char* file, int line);
#define HOLDS(promise)                                                      \
  do {                                                                      \
    if (!(promise)) ::credsync::fuzz::broken(#promise, __FILE__, __LINE__); \
  } while (false)

// An input taken apart: choices first, then lines, the text itself last, so that a person can read and write it.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  // One byte as a number below `count`: '0' is 0, 'a' is 10; 0 when nothing is left.
  std::size_t choice(std::size_t count);
  bool flag() { return choice(2) == 1; }
  std::uint64_t number();   // eight bytes
  std::string_view line();  // up to the next line feed, which goes too
  std::string_view bytes(std::size_t count);
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// Secrets of a request, planted into what its answer says: each must be struck out of whatever is shown. The second has
// characters that are never shown.
inline constexpr std::string_view kCanary = "Zq9-canary/with+odd&chars=%7e";
inline constexpr std::string_view kOddCanary =
    "Wx8\tcan\xe2\x80\xae"
    "ary\xc3\xa9-tail";
// The bytes 2 to 6 of `text` become: the canary, its form encoding, its percent encoding, the odd canary, and that one in
// form encoding.
std::string with_canaries(std::string_view text);
// Whether the canary, or either of them, is in it in any of these forms.
bool shows_canary(std::string_view shown);
bool shows_either_canary(std::string_view shown);

// The byte 1 becomes many times what stands before it on its line, `times` bytes at most, so that short inputs reach
// bounds far away.
std::string with_repeats(std::string_view text, std::size_t most);

// UTF-8 without control, escape and bidirectional characters (design section 8), by a reading of its own.
bool is_fit_to_show(std::string_view text);

// The same bytes in pieces, cut as `how` says; 0: one by one.
inline constexpr std::uint64_t kWhole = ~std::uint64_t{0};
void in_pieces(std::string_view text, std::uint64_t how, const std::function<bool(std::string_view)>& take);

// A folder in memory that goes away with the process.
const std::string& scratch_folder();

}  // namespace credsync::fuzz

// Each target has its own.
void run(credsync::fuzz::Input input);
