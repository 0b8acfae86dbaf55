// The body of an answer as a tree, whatever it claims to be. Pure.
#pragma once

#include "daemon/oauth/http.h"
#include "daemon/oauth/json_value.h"
#include "daemon/provider/profile.h"

namespace credsync::oauth {

struct AnswerBody {
  enum class Kind {
    kEmpty,   // nothing, white space, or null
    kObject,  // JSON or form-encoded: `value` is an object or array, perhaps an empty one
    kHtml,    // a page or XML: somebody else answered, or a server's error page
    kOther,   // text, or JSON that is cut or broken
  };
  Kind kind = Kind::kEmpty;
  JsonValue value;
};

// What the body looks like decides; its Content-Type only where the looks do not: PHP sends JSON as
// text/html, and form encoding comes as text/plain.
AnswerBody read_answer_body(const HttpResponse& response, provider::AnswerFormat format);

}  // namespace credsync::oauth
