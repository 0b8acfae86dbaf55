// What a provider's refusal means: the table of facts about outcomes, in one place. Pure.
#pragma once

#include <optional>
#include <string>

#include "daemon/oauth/answer_body.h"
#include "daemon/oauth/failure.h"
#include "daemon/oauth/http.h"
#include "daemon/oauth/words.h"
#include "daemon/provider/profile.h"

namespace credsync::oauth {

// What the body says went wrong; empty texts where it does not say.
struct ProviderError {
  std::string code;  // as the provider spells it
  std::string text;
  std::string subtype;  // Google's error_subtype
  bool told = false;    // the body says that it failed: ok:false, success:false, error:{…}
};
ProviderError find_error(const provider::Errors& errors, const JsonValue& body);

// The profile's first match for this outcome.
std::optional<provider::ErrorClass> match_error(const provider::Errors& errors, int status, const std::string& code,
                                                provider::RequestKind kind);
FailureClass to_failure_class(provider::ErrorClass c);

// The class of a code that is known in general ("invalid_grant"), compared without case; nothing for others.
std::optional<FailureClass> class_of_code(std::string_view code, provider::RequestKind kind);

// A complete answer without usable tokens, or with another status than 2xx, as a failure.
Failure classify_answer(const provider::Profile& profile, const HttpResponse& response, const AnswerBody& body,
                        provider::RequestKind kind, const Redactor& redactor);

}  // namespace credsync::oauth
