// What went wrong, as a value. An Error says its kind, one line of plain words, and whether trying again can help.
// Messages never hold a secret: whoever makes one from foreign text passes it through base/text.h first.
#pragma once

#include <string>
#include <string_view>

namespace credsync {

enum class ErrorCode {
  kInvalid,      // the input is wrong and stays wrong
  kNotFound,     // what was named does not exist
  kDenied,       // permissions, ownership, policy
  kIo,           // the operating system refused; may pass
  kFull,         // no room left on the device
  kCorrupt,      // what was read is damaged or does not open with this key
  kTooNew,       // written by a newer version than this one
  kTaken,        // another process or account holds it
  kTimeout,      // the deadline passed
  kUnavailable,  // cannot be reached now
  kExhausted,    // a named bound was reached
  kCancelled,    // nobody waits any more
};

class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error seen from one step further out: "open state: permission denied".
  Error within(std::string_view context) const { return Error(code_, std::string(context) + ": " + message_); }

 private:
  ErrorCode code_;
  std::string message_;
};

Error invalid(std::string message);
Error not_found(std::string message);
Error denied(std::string message);
Error corrupt(std::string message);
Error timed_out(std::string message);
Error unavailable(std::string message);
Error exhausted(std::string message);

// From errno: ENOSPC and EDQUOT are kFull, ENOENT kNotFound, EACCES and EPERM kDenied, the rest kIo.
// `what` names the step and the path: "open /var/lib/credsyncd/state.db".
Error from_errno(std::string_view what, int error_number);

std::string_view to_string(ErrorCode code);

}  // namespace credsync
