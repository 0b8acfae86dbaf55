#include "ipc/dbus/render.h"

#include <algorithm>

namespace credsync::ipc::dbus {
namespace {

// An a{sv} inside an a{sv}.
template <typename Body>
void entry_dictionary(Writer& writer, std::string_view key, Body body) {
  writer.entry(key, "a{sv}", [&] { writer.array("{sv}", body); });
}

void entry_u32(Writer& writer, std::string_view key, std::uint32_t value) {
  writer.entry(key, "u", [&] { writer.u32(value); });
}

void write_trouble(Writer& writer, const AccountStatus& status) {
  if (status.error) {
    entry_dictionary(writer, "error", [&] {
      writer.entry("class", status.error->error_class);
      writer.entry("message", status.error->message);
      writer.entry("at", to_usec(status.error->at));
    });
  }
  if (status.next_step) {
    entry_dictionary(writer, "next_step", [&] {
      writer.entry("text", status.next_step->text);
      if (!status.next_step->command.empty()) writer.entry("command", status.next_step->command);
    });
  }
}

void write_rights(Writer& writer, const WhoAmI::Account& account) {
  writer.array("{sv}", [&] {
    writer.entry("account", account.account);
    writer.entry("actions", account.actions);
    writer.entry("rules", "aa{sv}", [&] {
      writer.array("a{sv}", [&] {
        for (const WhoAmI::Rule& rule : account.rules) {
          writer.array("{sv}", [&] {
            writer.entry("rule", rule.rule);
            writer.entry("matches", rule.matches);
            writer.entry("why", rule.why);
          });
        }
      });
    });
  });
}

}  // namespace

std::uint64_t to_usec(const std::optional<WallTime>& moment) {
  return moment ? static_cast<std::uint64_t>(std::max<std::int64_t>(0, moment->time_since_epoch().count())) : 0;
}

void write_token(Writer& writer, const TokenView& view) {
  WipedString header;
  header.text().reserve(view.header_prefix.size() + view.access_token.size());
  header.text().append(view.header_prefix).append(view.access_token);
  writer.exact_text(view.access_token);
  writer.u64(to_usec(view.expires_at));
  writer.array("{sv}", [&] {
    writer.entry("account", view.account);
    writer.entry("token_type", view.token_type);
    writer.entry("expires_in", view.expires_in);
    if (view.scope != nullptr) writer.entry("scope", *view.scope);
    writer.entry("generation", view.generation);
    writer.entry("min_valid_met", view.min_valid_met);
    writer.entry("state", view.state);
    writer.entry("header_name", view.header_name);
    writer.entry("header_value", "s", [&] { writer.exact_text(header.text()); });
    if (view.extra != nullptr) writer.entry("extra", "a{ss}", [&] { writer.text_pairs(*view.extra); });
  });
}

void write_status(Writer& writer, const AccountStatus& status) {
  writer.array("{sv}", [&] {
    writer.entry("account", status.account);
    writer.entry("provider", status.provider);
    writer.entry("grant", status.grant);
    writer.entry("state", status.state);
    writer.entry("since", to_usec(status.since));
    writer.entry("generation", status.generation);
    writer.entry("usable", status.usable);
    writer.entry("expires_at", status.expires_at);
    writer.entry("expires_in", status.expires_in);
    writer.entry("lifetime", status.lifetime);
    writer.entry("refreshable", status.refreshable);
    writer.entry("refreshing", status.refreshing);
    writer.entry("next_refresh", status.next_refresh);
    writer.entry("refresh_expires_at", status.refresh_expires_at);
    writer.entry("last_used", status.last_used);
    writer.entry("scope", status.scope);
    write_trouble(writer, status);
    entry_dictionary(writer, "retiring", [&] {
      writer.entry("pending", std::uint64_t{status.retiring.pending});
      writer.entry("unrevoked", std::uint64_t{status.retiring.unrevoked});
      writer.entry("next", status.retiring.next);
    });
    writer.entry("notes", status.notes);
    writer.entry("actions", status.actions);
  });
}

void write_list(Writer& writer, const std::vector<AccountStatus>& accounts) {
  writer.array("a{sv}", [&] {
    for (const AccountStatus& status : accounts)
      write_status(writer, status);
  });
}

void write_who_am_i(Writer& writer, const WhoAmI& who) {
  writer.array("{sv}", [&] {
    entry_u32(writer, "uid", who.caller.uid);
    if (!who.user.empty()) writer.entry("user", who.user);
    writer.entry("groups", "a(us)", [&] {
      writer.array("(us)", [&] {
        for (const auto& [gid, name] : who.groups) {
          writer.structure("us", [&] {
            writer.u32(gid);
            writer.text(name);
          });
        }
      });
    });
    entry_u32(writer, "pid", static_cast<std::uint32_t>(std::max<pid_t>(0, who.caller.pid)));
    if (!who.caller.unit.empty()) writer.entry("unit", who.caller.unit);
    if (!who.caller.exe.empty()) writer.entry("exe", who.caller.exe);
    writer.entry("accounts", "aa{sv}", [&] {
      writer.array("a{sv}", [&] {
        for (const WhoAmI::Account& account : who.accounts)
          write_rights(writer, account);
      });
    });
  });
}

}  // namespace credsync::ipc::dbus
