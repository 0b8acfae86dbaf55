// The plain text inside a seal: tokens, retirements and answers as bytes, and back. Pure. Each begins with a version, so
// that a later layout can be told apart; what does not decode to its last byte is damaged.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "daemon/store/token_store.h"

namespace credsync::store {

WipedString encode_tokens(const account::TokenSet& tokens);
Result<account::TokenSet> decode_tokens(std::string_view bytes);

// What of a retirement is secret.
struct RetirementSecrets {
  Secret token;
  Secret order;
};
WipedString encode_retirement(const Retirement& retirement);
Result<RetirementSecrets> decode_retirement(std::string_view bytes);

// A change that can wait in a slot: Install, UpdateParked or QueueRetirements. `sequence` orders the answered slots of
// one start; the slot itself is not kept.
bool fits_a_slot(const Change& change);
WipedString encode_answer(const Change& change, std::uint64_t sequence);
struct Answer {
  std::uint64_t sequence = 0;
  Change change;
};
Result<Answer> decode_answer(std::string_view bytes);

}  // namespace credsync::store
