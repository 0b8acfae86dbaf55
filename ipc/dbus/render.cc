#include "ipc/dbus/render.h"

#include <algorithm>

#include "ipc/dbus/problems.h"
#include "ipc/login_phase.h"
#include "ipc/names.h"

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

void entry_if_any(Writer& writer, std::string_view key, const std::string& value) {
  if (!value.empty()) writer.entry(key, value);
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
      entry_if_any(writer, "command", status.next_step->command);
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

TokenSecrets::TokenSecrets(const TokenView& view) {
  token.text().assign(view.access_token);
  header.text().reserve(view.header_prefix.size() + view.access_token.size());
  header.text().append(view.header_prefix).append(view.access_token);
}

void write_token(Writer& writer, const TokenView& view, const TokenSecrets& secrets) {
  writer.room_for(secrets.token);
  writer.u64(to_usec(view.expires_at));
  writer.array("{sv}", [&] {
    writer.entry("header_value", "s", [&] { writer.room_for(secrets.header); });  // first, so that fill_token finds it
    writer.entry("header_name", view.header_name);
    writer.entry("account", view.account);
    writer.entry("token_type", view.token_type);
    writer.entry("expires_in", view.expires_in);
    if (view.scope != nullptr) writer.entry("scope", *view.scope);
    writer.entry("generation", view.generation);
    writer.entry("min_valid_met", view.min_valid_met);
    writer.entry("state", view.state);
    if (view.extra != nullptr) writer.entry("extra", "a{ss}", [&] { writer.text_pairs(*view.extra); });
  });
}

bool fill_token(Reader& reader, const TokenSecrets& secrets) {
  return reader.put(secrets.token) && reader.u64() && reader.enter('a', "{sv}") && reader.enter('e', "sv") &&
         reader.text() && reader.enter('v', "s") && reader.put(secrets.header);
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

void begin_list(Writer& writer) {
  writer.begin_array("a{sv}");
}

void end_list(Writer& writer) {
  writer.end_array();
}

void write_login(Writer& writer, const LoginView& view) {
  writer.array("{sv}", [&] {
    writer.entry("id", view.id);
    writer.entry("account", view.account);
    writer.entry("provider", view.provider);
    writer.entry("provider_title", view.provider_title);
    writer.entry("client_id", view.client_id);
    writer.entry("grant", view.grant);
    writer.entry("method", view.method);
    writer.entry("phase", word(view.phase));
    writer.entry("scopes", view.scopes);
    entry_if_any(writer, "url", view.url);
    writer.entry("url_expires_in", view.url_expires_in);
    entry_if_any(writer, "redirect_uri", view.redirect_uri);
    writer.entry("listening", view.listening);
    entry_if_any(writer, "user_code", view.user_code);
    entry_if_any(writer, "verification_uri", view.verification_uri);
    entry_if_any(writer, "verification_uri_complete", view.verification_uri_complete);
    writer.entry("expires_at", to_usec(view.expires_at));
    writer.entry("expires_in", std::optional<Duration>(view.expires_in));
    writer.entry("generation", view.generation);
    writer.entry("granted", view.granted);
    writer.entry("missing", view.missing);
    entry_if_any(writer, "identity", view.identity);
    if (view.problem) {
      entry_dictionary(writer, "error", [&] {
        writer.entry("name", error_name(view.problem->kind));
        writer.entry("class", view.error_class);
        writer.entry("detail", view.problem->detail);
        entry_if_any(writer, "next_step", view.problem->next_step);
      });
    }
  });
}

// A sign-in that needs nobody has no id: it is over, and this is the account's status.
void write_login_answer(Writer& writer, const LoginAnswer& answer) {
  if (const auto* view = std::get_if<LoginView>(&answer)) {
    writer.text(view->id);
    return write_login(writer, *view);
  }
  writer.text("");
  write_status(writer, std::get<AccountStatus>(answer));
}

void write_who_am_i(Writer& writer, const WhoAmI& who) {
  writer.array("{sv}", [&] {
    entry_u32(writer, "uid", who.caller.uid);
    entry_if_any(writer, "user", who.user);
    if (who.caller.gid != kNoGroup) entry_u32(writer, "gid", who.caller.gid);
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
    entry_if_any(writer, "unit", who.caller.unit);
    entry_if_any(writer, "unit_why", who.unit_why);
    entry_if_any(writer, "exe", who.caller.exe);
    entry_if_any(writer, "exe_why", who.exe_why);
    writer.entry("accounts", "aa{sv}", [&] {
      writer.array("a{sv}", [&] {
        for (const WhoAmI::Account& account : who.accounts)
          write_rights(writer, account);
      });
    });
  });
}

}  // namespace credsync::ipc::dbus
