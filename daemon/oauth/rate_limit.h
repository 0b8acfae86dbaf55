// What a provider's headers say about when to come back. Pure. The public function, retry_after(), is in
// token_answer.h.
#pragma once

#include "daemon/oauth/http.h"
#include "daemon/provider/profile.h"

namespace credsync::oauth {

constexpr Duration kMaxRetryAfter = 1h;  // design section 6: no header makes us wait longer

// The declared header says that nothing remains, and the declared reset header says until when.
bool limit_used_up(const HttpResponse& response, const provider::Limits& limits);

// The provider's clock when it answered: its Date header, else our own at the answer's receipt.
WallTime answered_at(const HttpResponse& response);

}  // namespace credsync::oauth
