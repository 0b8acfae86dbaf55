#include "cli/qr_code.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "cli/program.h"

namespace credsync::cli {
namespace {

constexpr std::size_t kSmallest = 21, kLargest = 177, kStep = 4;  // versions 1 to 40
// ISO/IEC 18004 asks for four modules of quiet; readers are content with two where four do not fit.
constexpr std::array<std::size_t, 2> kQuietZones{4, 2};
// Black on white of the 256 colours, which themes leave alone; the first 16 they change.
constexpr std::string_view kInk = "\033[38;5;16;48;5;231m";
constexpr std::string_view kEndOfInk = "\033[0m";

// Beside this program, as it is built; else where it is installed.
std::string helper_path() {
  std::array<char, 4096> self{};
  const ssize_t size = ::readlink("/proc/self/exe", self.data(), self.size());
  if (size > 0) {
    const std::string_view path(self.data(), static_cast<std::size_t>(size));
    std::string beside = std::string(path.substr(0, path.rfind('/') + 1)) + "credsync-qr";
    if (can_be_run(beside)) return beside;
  }
  return CREDSYNC_LIBEXEC "/credsync-qr";
}

bool dark(const QrMatrix& matrix, std::size_t row, std::size_t column, std::size_t quiet) {
  const bool inside = row >= quiet && column >= quiet && row - quiet < matrix.size() && column - quiet < matrix.size();
  return inside && matrix[row - quiet][column - quiet] == '#';
}

std::string_view half_block(bool upper, bool lower) {
  if (upper) return lower ? "█" : "▀";
  return lower ? "▄" : " ";
}

std::string draw(const QrMatrix& matrix, std::size_t quiet, bool colour) {
  const std::size_t side = matrix.size() + 2 * quiet;
  std::string out;
  for (std::size_t row = 0; row < side; row += 2) {
    if (colour) out += kInk;
    for (std::size_t column = 0; column < side; ++column) {
      const bool upper = dark(matrix, row, column, quiet);
      // An odd side leaves half a line below; without colours it is not drawn at all.
      const bool below = row + 1 < side;
      const bool lower = below && dark(matrix, row + 1, column, quiet);
      out += colour ? half_block(upper, lower) : half_block(!upper, below && !lower);
    }
    if (colour) out += kEndOfInk;
    out += '\n';
  }
  return out;
}

}  // namespace

QrMatrix parse_qr(const std::string& lines) {
  QrMatrix matrix;
  std::string_view rest = lines;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    if (end == rest.npos || matrix.size() == kLargest) return {};
    matrix.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  const std::size_t side = matrix.size();
  const bool known = side >= kSmallest && (side - kSmallest) % kStep == 0;
  const auto fits = [side](const std::string& row) {
    return row.size() == side && row.find_first_not_of("#.") == row.npos;
  };
  return known && std::all_of(matrix.begin(), matrix.end(), fits) ? matrix : QrMatrix();
}

Outcome<QrMatrix> make_qr(const std::string& text) {
  CREDSYNC_LET(lines, output_of({helper_path()}, text));
  QrMatrix matrix = parse_qr(lines);
  if (matrix.empty()) return failed("no QR code could be made");
  return matrix;
}

QrDrawing render_qr(const QrMatrix& matrix, const View& view) {
  if (!view.terminal) return {{}, "this is no terminal"};
  if (!view.utf8) return {{}, "this terminal is not UTF-8"};
  for (const std::size_t quiet : kQuietZones) {
    const std::size_t side = matrix.size() + 2 * quiet;
    if (side <= view.columns && (side + 1) / 2 < view.rows) return {draw(matrix, quiet, view.colour), {}};
  }
  const std::size_t needed = matrix.size() + 2 * kQuietZones.back();
  return {{},
          "this terminal is too small for it: " + std::to_string(needed) + " columns and " +
              std::to_string((needed + 1) / 2 + 1) + " rows are needed"};
}

}  // namespace credsync::cli
