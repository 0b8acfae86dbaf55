// The ids of records that an operator or a program may look for (MESSAGE_ID= in the journal). Documented in credsyncd(8);
// systemd/credsyncd.catalog explains each to `journalctl -x`. Made with `systemd-id128 new`; an id is never changed.
#pragma once

#include <array>
#include <string_view>

namespace credsync::message_id {

struct Named {
  std::string_view name;  // as the documentation lists it
  std::string_view id;
};

inline constexpr Named kStarting{"starting", "1432eca46dca407eb05136e85625bf7e"};
inline constexpr Named kReady{"ready", "9f1dae0edcb0412da7178bf72df565c9"};
inline constexpr Named kStartFailed{"start-failed", "a5c9ad0c029043ea80ec03e41f7855b8"};
inline constexpr Named kStopping{"stopping", "acd0a10bd596473d95226d4c92794cdd"};
inline constexpr Named kEnded{"ended", "73db5de8828449fda112c80546249bf6"};
inline constexpr Named kReloaded{"reloaded", "aff20d3560734a989d2ed378e9d59381"};
inline constexpr Named kReloadRefused{"reload-refused", "8702c8c8e21648599aa73dde2b2052f8"};
inline constexpr Named kNeedsLogin{"needs-login", "91c82305a9154b4cb0fea86d377fa2ad"};
inline constexpr Named kGrantEnding{"grant-ending", "153c7f0b811a4e3d9ef6924d30040619"};
inline constexpr Named kSuspended{"suspended", "146fd9ee5db740bf96807ba21e13dbf6"};
inline constexpr Named kRetrying{"retrying", "4015b46533fe4c6c841111395445598b"};
inline constexpr Named kRefreshed{"refreshed", "d4948611481246e191c6dcbcadbfa933"};
inline constexpr Named kRevoked{"revoked", "7d206eb95acf4e768a55b615c98dbf78"};
inline constexpr Named kUnrevoked{"unrevoked", "b9f32408132b4bce914059aa8a67e0c6"};
inline constexpr Named kParked{"parked", "52c7344955824bbea06c0f4836f8fb42"};
inline constexpr Named kRestored{"restored", "f151f8eb29ec4bb08c3bcffdc9f47352"};
inline constexpr Named kStorageLate{"storage-late", "a99a9ac36ab5412c98e23eda4279f0b1"};
inline constexpr Named kStorageBack{"storage-back", "c4bc7061d46a44b4bd245371b39d7359"};
inline constexpr Named kNotStored{"not-stored", "c9af3d05c09c4db782847f0a7b63ed7c"};
inline constexpr Named kStorageStuck{"storage-stuck", "fb39719d39c44386b72a8037b148fbbe"};
inline constexpr Named kStorageMoves{"storage-moves", "f044e3c2599443588ed569846ede9847"};
inline constexpr Named kSchedulerBehind{"scheduler-behind", "a4f72a443e774ce5bd39b4ddd731826a"};
inline constexpr Named kRolledBack{"rolled-back", "8bb4fe16a0844fc4894c53d496dcd1af"};
inline constexpr Named kStateDamaged{"state-damaged", "dcbb03cb1d63445c9a779ba36d4694bc"};
inline constexpr Named kWokenUp{"woken-up", "efce3b11d1da402f94417d2c1b203960"};
inline constexpr Named kNetworkChanged{"network-changed", "9d3391d510f746a7849b22cf605e0442"};
inline constexpr Named kBusNameTaken{"bus-name-taken", "8ca77fa2ebf74c2087c16a304746430d"};
inline constexpr Named kUnexpected{"unexpected", "d396ea2998e545c7b2917de91c0f1349"};
inline constexpr Named kLogLost{"log-lost", "147cbd8f642942e48999effbf0076021"};
inline constexpr Named kAudit{"audit", "36da9fb268b646678ca7ddcb22489506"};

inline constexpr std::array kAll{kStarting,       kReady,           kStartFailed, kStopping,     kEnded,
                                 kReloaded,       kReloadRefused,   kNeedsLogin,  kGrantEnding,  kSuspended,
                                 kRetrying,       kRefreshed,       kRevoked,     kUnrevoked,    kParked,
                                 kRestored,       kStorageLate,     kStorageBack, kNotStored,    kStorageStuck,
                                 kStorageMoves,   kSchedulerBehind, kRolledBack,  kStateDamaged, kWokenUp,
                                 kNetworkChanged, kBusNameTaken,    kUnexpected,  kLogLost,      kAudit};

}  // namespace credsync::message_id
