// The recovery key: 160 random bits for a person to keep on paper. It is written as eight groups of five characters of
// Crockford's base32 (no I, L, O, U); the last of each group checks the other four and which group it is, so that a
// mistake in reading or typing is told with the place where it is. Pure.
#pragma once

#include "base/result.h"
#include "base/secret.h"
#include "daemon/store/key.h"

namespace credsync::store {

class RecoveryKey {
 public:
  static RecoveryKey random();
  // Upper or lower case, with or without hyphens and spaces; I and L are read as 1, O as 0. kInvalid says what is wrong
  // and where, never the text.
  static Result<RecoveryKey> parse(std::string_view text);

  // "ABCDE-FGHJK-…": 47 characters.
  WipedString text() const;
  // What wraps with it. Not slow to derive: 160 bits cannot be guessed.
  Key key() const;

 private:
  explicit RecoveryKey(Secret bytes) : bytes_(std::move(bytes)) {}
  Secret bytes_;
};

}  // namespace credsync::store
