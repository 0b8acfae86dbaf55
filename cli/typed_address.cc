#include "cli/typed_address.h"

namespace credsync::cli {
namespace {

// The daemon takes 16 KiB of an answer; more than this is no address at all.
constexpr std::size_t kLongest = 48 * 1024;
constexpr std::size_t kLongestSequence = 32;

constexpr char kEscapeKey = 27, kEraseLine = 21, kEraseWord = 23, kBackspace = 8, kDelete = 127;

bool is_line_end(char c) {
  return c == '\n' || c == '\r';
}

bool is_blank_or_control(char c) {
  return static_cast<unsigned char>(c) <= ' ' || c == kDelete;
}

}  // namespace

TypedAddress::TypedAddress() {
  text_.text().reserve(kLongest);
}

void TypedAddress::clear() {
  wipe(text_.text());
  text_.text().reserve(kLongest);
}

TypedAddress::Step TypedAddress::append(char c) {
  if (swallow_line_) return Step::kMore;
  if (size() == kLongest) {
    swallow_line_ = true;
    return Step::kTooLong;
  }
  text_.text() += c;
  return Step::kMore;
}

TypedAddress::Step TypedAddress::plain(char c) {
  if (pasting_) {
    line_ended_ = is_line_end(c);
    return is_blank_or_control(c) ? Step::kMore : append(c);
  }
  if (is_line_end(c)) {
    const bool swallowed = swallow_line_;
    swallow_line_ = false;
    return swallowed ? Step::kMore : Step::kEntered;
  }
  if (c == kBackspace || c == kDelete) {
    if (size() > 0) text_.text().pop_back();
  } else if (c == kEraseLine || c == kEraseWord) {
    clear();
  } else if (!is_blank_or_control(c)) {
    return append(c);
  }
  return Step::kMore;
}

// Of all sequences only the brackets of a paste mean something; arrows and function keys do nothing.
TypedAddress::Step TypedAddress::sequence_end(char final) {
  if (final == '~' && sequence_ == "200") {
    pasting_ = true;
    line_ended_ = false;
  } else if (final == '~' && sequence_ == "201" && pasting_) {
    pasting_ = false;
    if (!line_ended_) return Step::kMore;
    const bool swallowed = swallow_line_;
    swallow_line_ = false;
    return swallowed || size() == 0 ? Step::kMore : Step::kEntered;
  }
  return Step::kMore;
}

TypedAddress::Step TypedAddress::feed(char c) {
  switch (state_) {
    case State::kPlain:
      if (c != kEscapeKey) return plain(c);
      state_ = State::kEscape;
      return Step::kMore;
    case State::kEscape:
      sequence_.clear();
      state_ = c == '[' ? State::kSequence : c == 'O' ? State::kSingleShift : State::kPlain;
      return Step::kMore;
    case State::kSingleShift: state_ = State::kPlain; return Step::kMore;
    case State::kSequence: break;
  }
  const bool is_final = c >= 0x40 && c <= 0x7e;
  if (!is_final && sequence_.size() < kLongestSequence) {
    sequence_ += c;
    return Step::kMore;
  }
  state_ = State::kPlain;
  return is_final ? sequence_end(c) : Step::kMore;
}

}  // namespace credsync::cli
