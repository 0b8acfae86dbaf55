// The hot path: the answer to GET …/token. All but expires_in and min_valid_met is rendered once per
// generation and kept in TokenView::memo, so that an answer is two copies and a few digits. Pure but for the
// memo it fills.
#pragma once

#include "ipc/http/response.h"

namespace credsync::ipc::http {

void write_token(WipedBuffer& out, const Framing& framing, const TokenView& view);

}  // namespace credsync::ipc::http
