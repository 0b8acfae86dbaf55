// An address that a person types or pastes, byte by byte. Pure. It carries a code, so it is never shown and is wiped. A paste
// that the terminal brackets may hold line breaks, since addresses are copied out of windows that wrap them: they are left out.
#pragma once

#include <cstddef>
#include <string>

#include "base/secret.h"

namespace credsync::cli {

class TypedAddress {
 public:
  enum class Step { kMore, kEntered, kTooLong };

  TypedAddress();
  // The next byte of the terminal. After kEntered and kTooLong, clear().
  Step feed(char c);
  const std::string& text() const { return text_.text(); }
  std::size_t size() const { return text_.text().size(); }
  void clear();

 private:
  enum class State { kPlain, kEscape, kSequence, kSingleShift };

  Step plain(char c);
  Step sequence_end(char final);
  Step append(char c);

  WipedString text_;
  State state_ = State::kPlain;
  std::string sequence_;       // parameters of the escape sequence being read
  bool pasting_ = false;       // between the brackets of a paste
  bool line_ended_ = false;    // the last byte of the paste was a line end
  bool swallow_line_ = false;  // too long: what is left of the line goes too
};

}  // namespace credsync::cli
