// credsync-qr: text on standard input becomes a QR code on standard output, a line a row, '#' for a dark module and '.' for a
// light one. A program of its own, since libqrencode comes as a shared library only and `credsync` is linked statically to
// start fast; it is run for `credsync login` only.
#include <qrencode.h>
#include <stdio.h>

#include <memory>
#include <string>

namespace {

constexpr std::size_t kLongest = 2953;  // what version 40 holds at level L (ISO/IEC 18004, table 7)

struct Free {
  void operator()(QRcode* code) const { ::QRcode_free(code); }
};

int draw(const std::string& text) {
  // Level L: a terminal has no dirt to correct, and a smaller code fits more of them.
  const std::unique_ptr<QRcode, Free> code(::QRcode_encodeData(
      static_cast<int>(text.size()), reinterpret_cast<const unsigned char*>(text.data()), 0, QR_ECLEVEL_L));
  if (!code) return 1;
  const auto width = static_cast<std::size_t>(code->width);
  std::string out;
  for (std::size_t i = 0; i < width * width; ++i) {
    out += (code->data[i] & 1) != 0 ? '#' : '.';
    if (i % width == width - 1) out += '\n';
  }
  return ::fwrite(out.data(), 1, out.size(), stdout) == out.size() && ::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace

int main() {
  std::string text(kLongest + 1, '\0');
  text.resize(::fread(text.data(), 1, text.size(), stdin));
  if (text.empty() || text.size() > kLongest) return 1;
  return draw(text);
}
