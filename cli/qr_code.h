// QR codes for a terminal. render_qr is pure; make_qr asks the program that links libqrencode (qr_main.cc says why).
#pragma once

#include <string>
#include <vector>

#include "cli/failure.h"
#include "cli/terminal.h"

namespace credsync::cli {

// Square: a string a row, '#' dark and '.' light.
using QrMatrix = std::vector<std::string>;

Outcome<QrMatrix> make_qr(const std::string& text);
// Empty unless it is a square of '#' and '.' of a size that QR codes have.
QrMatrix parse_qr(const std::string& lines);

struct QrDrawing {
  std::string text;  // whole lines; empty when there is none
  std::string why;   // then: why not
};
// Half blocks with a quiet zone: dark on light by colours of its own, whatever the terminal's are; without colours, light
// modules are drawn, which is right on a dark terminal. Left out where it does not fit or could not be shown.
QrDrawing render_qr(const QrMatrix& matrix, const View& view);

}  // namespace credsync::cli
