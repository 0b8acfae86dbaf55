// An issuer for tests: keys of every kind, as JWKs, and tokens signed with them.
#pragma once

#include <string>
#include <string_view>

#include "daemon/oauth/jose.h"

namespace credsync::oauth::testing {

class SigningKey {
 public:
  enum class Kind { kRsa, kP256, kP384, kP521, kEd25519 };
  SigningKey(Kind kind, std::string id);

  // Its public half; `more` goes in as it is: ,"use":"sig".
  std::string jwk(std::string_view more = "") const;
  // header.payload.signature, with `kid` unless the id is empty.
  std::string sign(std::string_view algorithm, std::string_view payload) const;
  // The bytes of the signature only, in JWS form.
  std::string signature(std::string_view algorithm, std::string_view input) const;
  const std::string& id() const { return id_; }
  std::string public_pem() const;

 private:
  std::string number(const char* name, std::size_t size = 0) const;

  Kind kind_;
  std::string id_;
  KeyPtr key_;
};

// {"keys":[…]}
std::string key_set(std::string_view keys);
std::string unsigned_part(std::string_view header, std::string_view payload);
// Signed with HMAC-SHA256.
std::string hs256(std::string_view payload, std::string_view secret);

}  // namespace credsync::oauth::testing
