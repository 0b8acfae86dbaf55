#include "ipc/dbus/polkit.h"

#include "base/log.h"
#include "ipc/dbus/names.h"

namespace credsync::ipc::dbus {
namespace {

constexpr const char* kPolkit = "org.freedesktop.PolicyKit1";
constexpr const char* kAuthority = "/org/freedesktop/PolicyKit1/Authority";
constexpr const char* kAuthorityInterface = "org.freedesktop.PolicyKit1.Authority";
constexpr std::uint32_t kAllowUserInteraction = 1;

// (sa{sv}) subject, s action, a{ss} details, u flags, s cancellation id. The bus vouches for the name, and polkit asks
// the bus itself who is behind it.
void write_question(Writer& writer, const std::string& sender, bool interactive, const std::string& cancellation) {
  writer.structure("sa{sv}", [&] {
    writer.text("system-bus-name");
    writer.array("{sv}", [&] { writer.entry("name", sender); });
  });
  writer.text(kManageAction);
  writer.text_pairs({});
  writer.u32(interactive ? kAllowUserInteraction : 0);
  writer.text(cancellation);
}

// (bba{ss}): authorised, could be with a password, details.
bool read_verdict(Reader& body) {
  return body.enter('r', "bba{ss}") && body.flag().value_or(false);
}

// The question is still on somebody's screen.
void cancel(Bus& bus, const std::string& cancellation) {
  bus.call(
      {kPolkit, kAuthority, kAuthorityInterface, "CancelCheckAuthorization"},
      [&](Writer& writer) { writer.text(cancellation); }, 10s, [](Reader*, const Bus::Failure*) {});
}

bool is_absence(const std::string& error) {
  return error == "org.freedesktop.DBus.Error.ServiceUnknown" || error == "org.freedesktop.DBus.Error.NameHasNoOwner";
}

bool is_delay(const std::string& error) {
  return error == "org.freedesktop.DBus.Error.Timeout" || error == "org.freedesktop.DBus.Error.NoReply" ||
         error == "System.Error.ETIMEDOUT";
}

}  // namespace

void ask_polkit(Bus& bus, const std::string& sender, bool interactive, Duration deadline,
                std::function<void(bool)> then) {
  // One question of a sender at a time would do; the time makes the name unlike that of an earlier one.
  static constexpr std::string_view kPrefix = "credsyncd-";
  const std::string cancellation =
      std::string(kPrefix) + sender + "-" + std::to_string(SystemClock().boot().time_since_epoch().count());
  bus.call(
      {kPolkit, kAuthority, kAuthorityInterface, "CheckAuthorization"},
      [&](Writer& writer) { write_question(writer, sender, interactive, cancellation); }, deadline,
      [&bus, cancellation, then = std::move(then)](Reader* body, const Bus::Failure* failure) {
        if (failure == nullptr) return then(read_verdict(*body));
        if (is_delay(failure->name)) cancel(bus, cancellation);
        if (!is_absence(failure->name))
          log::warning("polkit did not answer", {{"ERROR", failure->name + ": " + failure->message}});
        then(false);
      });
}

}  // namespace credsync::ipc::dbus
