// Names on the bus (design section 9) and the table of methods, which the served interface, the document
// org.credsync.CredSync1.xml and the tests share. Constants only.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace credsync::ipc::dbus {

inline constexpr const char* kBusName = "org.credsync.CredSync1";
inline constexpr const char* kObjectPath = "/org/credsync/CredSync1";
inline constexpr const char* kInterface = "org.credsync.CredSync1";
inline constexpr std::string_view kErrorPrefix = "org.credsync.CredSync1.Error.";
inline constexpr const char* kInvalidArgs = "org.freedesktop.DBus.Error.InvalidArgs";
inline constexpr const char* kAccessDenied = "org.freedesktop.DBus.Error.AccessDenied";
inline constexpr const char* kFailed = "org.freedesktop.DBus.Error.Failed";
inline constexpr const char* kManageAction = "org.credsync.manage";  // of polkit

enum class Method {
  kGetAccessToken,
  kListAccounts,
  kGetAccount,
  kRefresh,
  kReject,
  kBeginLogin,
  kWaitLogin,
  kAnswerLogin,
  kCancelLogin,
  kSignOut,
  kWhoAmI,
  kReload,
  kSubscribe,
  kUnsubscribe,
};

// `takes` and `gives` name the arguments, separated by spaces, in the order of the signatures.
struct MethodEntry {
  Method method;
  const char* name;
  const char* in;
  std::string_view takes;
  const char* out;
  std::string_view gives;
};
inline constexpr std::array kMethods{
    MethodEntry{Method::kGetAccessToken, "GetAccessToken", "sa{sv}", "account options", "sta{sv}",
                "token expires_at_usec details"},
    MethodEntry{Method::kListAccounts, "ListAccounts", "", "", "aa{sv}", "accounts"},
    MethodEntry{Method::kGetAccount, "GetAccount", "s", "account", "a{sv}", "status"},
    MethodEntry{Method::kRefresh, "Refresh", "s", "account", "", ""},
    MethodEntry{Method::kReject, "Reject", "st", "account generation", "", ""},
    MethodEntry{Method::kBeginLogin, "BeginLogin", "sa{sv}", "account options", "sa{sv}", "id answer"},
    MethodEntry{Method::kWaitLogin, "WaitLogin", "sa{sv}", "id options", "a{sv}", "login"},
    MethodEntry{Method::kAnswerLogin, "AnswerLogin", "ss", "id redirect_url", "a{sv}", "login"},
    MethodEntry{Method::kCancelLogin, "CancelLogin", "s", "id", "a{sv}", "login"},
    MethodEntry{Method::kSignOut, "SignOut", "s", "account", "", ""},
    MethodEntry{Method::kWhoAmI, "WhoAmI", "", "", "a{sv}", "caller"},
    MethodEntry{Method::kReload, "Reload", "", "", "", ""},
    MethodEntry{Method::kSubscribe, "Subscribe", "", "", "", ""},
    MethodEntry{Method::kUnsubscribe, "Unsubscribe", "", "", "", ""},
};

struct SignalEntry {
  const char* name;
  const char* signature;
  std::string_view gives;
};
inline constexpr SignalEntry kTokenChanged{"TokenChanged", "stt", "account generation expires_at_usec"};
inline constexpr SignalEntry kStateChanged{"StateChanged", "ss", "account state"};

}  // namespace credsync::ipc::dbus
