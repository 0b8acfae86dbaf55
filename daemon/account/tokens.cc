#include "daemon/account/tokens.h"

namespace credsync::account {

TokenSet TokenSet::clone() const {
  TokenSet copy;
  copy.access_token = access_token.clone();
  copy.refresh_token = refresh_token.clone();
  copy.id_token = id_token.clone();
  copy.token_type = token_type;
  copy.scope = scope;
  copy.obtained_at = obtained_at;
  copy.expires_at = expires_at;
  copy.refresh_in = refresh_in;
  copy.refresh_expires_at = refresh_expires_at;
  copy.jitter = jitter;
  copy.extra = extra;
  copy.subject = subject;
  return copy;
}

}  // namespace credsync::account
