#include "daemon/oauth/failure.h"

#include "base/text.h"
#include "daemon/oauth/token_answer.h"

namespace credsync::oauth {
namespace {

std::string_view code_of(TransportFault fault) {
  switch (fault) {
    case TransportFault::kResolve: return "resolve";
    case TransportFault::kConnect: return "connect";
    case TransportFault::kHandshake: return "handshake";
    case TransportFault::kUntrusted: return "untrusted";
    case TransportFault::kDeadline: return "deadline";
    case TransportFault::kTooLate: return "too-late";
    case TransportFault::kReset: return "reset";
    case TransportFault::kProtocol: return "protocol";
    case TransportFault::kTooLarge: return "too-large";
    case TransportFault::kProxy: return "proxy";
    case TransportFault::kBadRequest: return "bad-request";
    case TransportFault::kSecretSource: return "secret-source";
  }
  return "unknown";
}

// Whether it was sent decides first: whatever broke after that, the provider may have acted.
FailureClass class_of(const TransportError& error) {
  if (error.sent) return FailureClass::kAmbiguous;
  switch (error.fault) {
    case TransportFault::kUntrusted: return FailureClass::kUntrusted;
    case TransportFault::kBadRequest:
    case TransportFault::kSecretSource: return FailureClass::kLocal;
    case TransportFault::kResolve:
    case TransportFault::kConnect:
    case TransportFault::kHandshake:
    case TransportFault::kDeadline:
    case TransportFault::kTooLate:
    case TransportFault::kReset:
    case TransportFault::kProtocol:
    case TransportFault::kTooLarge:
    case TransportFault::kProxy: return FailureClass::kNotSent;
  }
  return FailureClass::kNotSent;
}

}  // namespace

std::string_view to_string(FailureClass c) {
  switch (c) {
    case FailureClass::kNotSent: return "not-sent";
    case FailureClass::kAmbiguous: return "ambiguous";
    case FailureClass::kTransient: return "transient";
    case FailureClass::kNeedsLogin: return "needs-login";
    case FailureClass::kUnclear: return "unclear";
    case FailureClass::kClient: return "client";
    case FailureClass::kRefused: return "refused";
    case FailureClass::kUntrusted: return "untrusted";
    case FailureClass::kNoToken: return "no-token";
    case FailureClass::kStartOver: return "start-over";
    case FailureClass::kLocal: return "local";
  }
  return "unknown";
}

Failure read_transport_error(const TransportError& error) {
  Failure failure;
  failure.failure_class = class_of(error);
  failure.code = code_of(error.fault);
  failure.words = clean_foreign_text(error.words);
  failure.sent = error.sent;
  return failure;
}

}  // namespace credsync::oauth
