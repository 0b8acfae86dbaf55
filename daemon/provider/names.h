// The enums of a profile as the words that TOML and people use, said once for reading, writing and listing.
// Pure.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "daemon/provider/profile.h"

namespace credsync::provider {

template <typename Enum>
struct Named {
  Enum value;
  std::string_view name;
};

// Every value with its word, in the order of the enum. The argument only picks the enum: names_of(Grant{}).
std::span<const Named<Encoding>> names_of(Encoding);
std::span<const Named<ClientAuth>> names_of(ClientAuth);
std::span<const Named<Grant>> names_of(Grant);
std::span<const Named<RequestKind>> names_of(RequestKind);
std::span<const Named<BasicEncoding>> names_of(BasicEncoding);
std::span<const Named<Pkce>> names_of(Pkce);
std::span<const Named<StateUse>> names_of(StateUse);
std::span<const Named<RedirectPort>> names_of(RedirectPort);
std::span<const Named<AnswerFormat>> names_of(AnswerFormat);
std::span<const Named<TimeUnit>> names_of(TimeUnit);
std::span<const Named<RefreshHow>> names_of(RefreshHow);
std::span<const Named<Rotation>> names_of(Rotation);
std::span<const Named<RevokeHow>> names_of(RevokeHow);
std::span<const Named<Cascade>> names_of(Cascade);
std::span<const Named<ErrorClass>> names_of(ErrorClass);
std::span<const Named<ResetMeans>> names_of(ResetMeans);

template <typename Enum>
std::string_view to_name(Enum value) {
  for (const auto& entry : names_of(value)) {
    if (entry.value == value) return entry.name;
  }
  return {};
}

// The value of a word, compared exactly; nothing if there is no such word.
template <typename Enum>
std::optional<Enum> from_name(std::string_view name) {
  for (const auto& entry : names_of(Enum{})) {
    if (entry.name == name) return entry.value;
  }
  return std::nullopt;
}

// Parameters of the authorization request that no account sets: its safety, or the reading of the answer, rests on them.
inline constexpr std::string_view kOwnParameters[] = {"client_id", "redirect_uri",   "response_type",        "state",
                                                      "nonce",     "code_challenge", "code_challenge_method"};

// Did the profile's file say anything about this key ("revoke.how") or what is below it?
bool is_said(const Profile& profile, std::string_view key);

}  // namespace credsync::provider
