#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace credsync {

Error invalid(std::string message) {
  return Error(ErrorCode::kInvalid, std::move(message));
}
Error not_found(std::string message) {
  return Error(ErrorCode::kNotFound, std::move(message));
}
Error denied(std::string message) {
  return Error(ErrorCode::kDenied, std::move(message));
}
Error corrupt(std::string message) {
  return Error(ErrorCode::kCorrupt, std::move(message));
}
Error timed_out(std::string message) {
  return Error(ErrorCode::kTimeout, std::move(message));
}
Error unavailable(std::string message) {
  return Error(ErrorCode::kUnavailable, std::move(message));
}
Error exhausted(std::string message) {
  return Error(ErrorCode::kExhausted, std::move(message));
}

Error from_errno(std::string_view what, int error_number) {
  ErrorCode code = ErrorCode::kIo;
  if (error_number == ENOSPC || error_number == EDQUOT) code = ErrorCode::kFull;
  if (error_number == ENOENT) code = ErrorCode::kNotFound;
  if (error_number == EACCES || error_number == EPERM) code = ErrorCode::kDenied;
  char words[128];
  return Error(code, std::string(what) + ": " + ::strerror_r(error_number, words, sizeof words));
}

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid: return "invalid";
    case ErrorCode::kNotFound: return "not found";
    case ErrorCode::kDenied: return "denied";
    case ErrorCode::kIo: return "i/o";
    case ErrorCode::kFull: return "full";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kTooNew: return "too new";
    case ErrorCode::kTaken: return "taken";
    case ErrorCode::kTimeout: return "timeout";
    case ErrorCode::kUnavailable: return "unavailable";
    case ErrorCode::kExhausted: return "exhausted";
    case ErrorCode::kCancelled: return "cancelled";
  }
  return "unknown";
}

}  // namespace credsync
