#include "ipc/http/render.h"

#include <algorithm>

#include "ipc/http/json_writer.h"
#include "ipc/http/response.h"
#include "ipc/login_phase.h"
#include "ipc/names.h"

namespace credsync::ipc::http {
namespace {

constexpr std::size_t kStatusRoom = 768;  // a usual status, so that lists do not grow in many steps

// An object with one member, an array of objects.
template <typename T, typename Write>
std::string render_list(std::string_view key, const std::vector<T>& values, std::size_t room, Write write) {
  std::string body;
  body.reserve(room * values.size() + key.size() + 8);
  JsonWriter json(body);
  json.begin_object();
  json.begin_array(key);
  for (const T& value : values) {
    json.begin_object();
    write(json, value);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return body;
}

template <typename Write>
std::string render_object(Write write) {
  std::string body;
  JsonWriter json(body);
  json.begin_object();
  write(json);
  json.end_object();
  return body;
}

void write_trouble(JsonWriter& json, const AccountStatus& s) {
  if (s.error) {
    json.begin_object("error");
    json.text("class", s.error->error_class);
    json.text("message", s.error->message);
    json.time("at", s.error->at);
    json.end_object();
  } else {
    json.nothing("error");
  }
  if (s.next_step) {
    json.begin_object("next_step");
    json.text("text", s.next_step->text);
    json.text_or_nothing("command", s.next_step->command);
    json.end_object();
  } else {
    json.nothing("next_step");
  }
}

void write_status(JsonWriter& json, const AccountStatus& s) {
  json.text("account", s.account);
  json.text("provider", s.provider);
  json.text("grant", s.grant);
  json.text("state", s.state);
  json.time("since", s.since);
  json.number("generation", s.generation);
  json.flag("usable", s.usable);
  json.time("expires_at", s.expires_at);
  json.seconds("expires_in", s.expires_in);
  json.seconds("lifetime", s.lifetime);
  json.flag("refreshable", s.refreshable);
  json.flag("refreshing", s.refreshing);
  json.time("next_refresh", s.next_refresh);
  json.time("refresh_expires_at", s.refresh_expires_at);
  json.texts("scope", s.scope);
  json.time("last_used", s.last_used);
  write_trouble(json, s);
  json.begin_object("retiring");
  json.number("pending", s.retiring.pending);
  json.number("unrevoked", s.retiring.unrevoked);
  json.time("next", s.retiring.next);
  json.end_object();
  json.texts("notes", s.notes);
  json.texts("actions", s.actions);
}

void write_login_trouble(JsonWriter& json, const LoginView& view) {
  if (!view.problem) return json.nothing("error");
  json.begin_object("error");
  json.text("type", problem_type(view.problem->kind));
  json.text("class", view.error_class);
  json.text("detail", view.problem->detail);
  json.text_or_nothing("next_step", view.problem->next_step);
  json.end_object();
}

void write_login(JsonWriter& json, const LoginView& view) {
  json.text("id", view.id);
  json.text("account", view.account);
  json.text("provider", view.provider);
  json.text("provider_title", view.provider_title);
  json.text("client_id", view.client_id);
  json.text("grant", view.grant);
  json.text("method", view.method);
  json.text("phase", word(view.phase));
  json.texts("scopes", view.scopes);
  json.text_or_nothing("url", view.url);
  json.seconds("url_expires_in", view.url_expires_in);
  json.text_or_nothing("redirect_uri", view.redirect_uri);
  json.flag("listening", view.listening);
  json.text_or_nothing("user_code", view.user_code);
  json.text_or_nothing("verification_uri", view.verification_uri);
  json.text_or_nothing("verification_uri_complete", view.verification_uri_complete);
  json.time("expires_at", view.expires_at);
  json.seconds("expires_in", view.expires_in);
  json.number("generation", view.generation);
  json.texts("granted", view.granted);
  json.texts("missing", view.missing);
  json.text_or_nothing("identity", view.identity);
  write_login_trouble(json, view);
}

void write_caller(JsonWriter& json, const WhoAmI& who) {
  json.number("uid", who.caller.uid);
  json.text_or_nothing("user", who.user);
  json.number("gid", who.caller.gid);
  json.begin_array("groups");
  for (const auto& [gid, name] : who.groups) {
    json.begin_object();
    json.number("gid", gid);
    json.text_or_nothing("name", name);
    json.end_object();
  }
  json.end_array();
  json.number("pid", static_cast<std::uint64_t>(std::max<pid_t>(0, who.caller.pid)));
  json.text_or_nothing("unit", who.caller.unit);
  json.text_or_nothing("unit_why", who.unit_why);
  json.text_or_nothing("exe", who.caller.exe);
  json.text_or_nothing("exe_why", who.exe_why);
}

void write_rights(JsonWriter& json, const WhoAmI::Account& account) {
  json.text("account", account.account);
  json.texts("actions", account.actions);
  json.begin_array("rules");
  for (const WhoAmI::Rule& rule : account.rules) {
    json.begin_object();
    json.text("rule", rule.rule);
    json.flag("matches", rule.matches);
    json.text("why", rule.why);
    json.end_object();
  }
  json.end_array();
}

void write_provider(JsonWriter& json, const ProviderSummary& provider) {
  json.text("id", provider.id);
  json.text("title", provider.title);
  json.text_or_nothing("docs", provider.docs);
  json.texts("grants", provider.grants);
  json.text("file", provider.file);
}

void write_fact(JsonWriter& json, const ProviderDetail::Fact& fact) {
  json.text("key", fact.key);
  json.text("value", fact.value);
  json.text("file", fact.file);
  json.number("line", fact.line);
  json.text_or_nothing("source", fact.source);
}

void write_check(JsonWriter& json, const Check& check) {
  json.text("name", check.name);
  json.text("result", check.result);
  json.text("detail", check.detail);
  json.text_or_nothing("next_step", check.next_step);
}

void write_record(JsonWriter& json, const AuditRecord& record) {
  json.time("at", record.at);
  json.text("action", record.action);
  json.text("decision", record.decision);
  json.text("account", record.account);
  json.number("generation", record.generation);
  if (record.uid) {
    json.number("uid", *record.uid);
    json.number("pid", static_cast<std::uint64_t>(std::max<pid_t>(0, record.pid)));
  } else {
    json.nothing("uid");
    json.nothing("pid");
  }
  json.text_or_nothing("unit", record.unit);
  json.text_or_nothing("exe", record.exe);
  json.text("rule", record.rule);
  json.number("count", record.count);
  json.text("detail", record.detail);
}

}  // namespace

std::string render(const AccountStatus& status) {
  return render_object([&](JsonWriter& json) { write_status(json, status); });
}

void append_part(std::string& body, const AccountList& part) {
  JsonWriter json(body);
  if (body.empty()) {
    body.reserve(kStatusRoom * part.accounts.size());
    json.begin_object();
    json.begin_array("accounts");
  }
  for (const AccountStatus& status : part.accounts) {
    json.begin_object();
    write_status(json, status);
    json.end_object();
  }
  if (!part.last.empty()) return;
  json.end_array();
  json.end_object();
}

std::string render(const RejectAnswer& answer) {
  return render_object([&](JsonWriter& json) {
    json.text("account", answer.account);
    json.number("generation", answer.generation);
  });
}

std::string render(const LoginView& view) {
  return render_object([&](JsonWriter& json) { write_login(json, view); });
}

std::string render(const SignOutAnswer& answer) {
  return render_object([&](JsonWriter& json) {
    json.text("account", answer.account);
    json.number("pending", answer.pending);
  });
}

std::string render(const WhoAmI& answer) {
  return render_object([&](JsonWriter& json) {
    write_caller(json, answer);
    json.begin_array("accounts");
    for (const WhoAmI::Account& account : answer.accounts) {
      json.begin_object();
      write_rights(json, account);
      json.end_object();
    }
    json.end_array();
  });
}

std::string render(const std::vector<ProviderSummary>& providers) {
  return render_list("providers", providers, 0, write_provider);
}

std::string render(const ProviderDetail& provider) {
  return render_object([&](JsonWriter& json) {
    json.text("id", provider.id);
    json.text("title", provider.title);
    json.text_or_nothing("docs", provider.docs);
    json.begin_array("facts");
    for (const ProviderDetail::Fact& fact : provider.facts) {
      json.begin_object();
      write_fact(json, fact);
      json.end_object();
    }
    json.end_array();
  });
}

std::string render(const ReloadAnswer& answer) {
  return render_object([&](JsonWriter& json) {
    json.flag("reloaded", true);
    json.texts("changed", answer.changed);
    json.texts("added", answer.added);
    json.texts("removed", answer.removed);
    json.texts("warnings", answer.warnings);
  });
}

std::string render(const std::vector<Check>& checks) {
  return render_list("checks", checks, 0, write_check);
}

std::string render(const std::vector<AuditRecord>& records) {
  constexpr std::size_t kRecordRoom = 256;
  return render_list("records", records, kRecordRoom, write_record);
}

std::string render_health() {
  return render_object([](JsonWriter& json) {
    json.text("status", "ok");
    json.text("version", CREDSYNC_VERSION);
  });
}

std::string render(const Event& event) {
  const bool token = event.kind == Event::Kind::kToken;
  std::string data;
  JsonWriter json(data);
  json.begin_object();
  json.text("account", event.account);
  if (!token) {
    json.text("state", event.state);
    json.time("since", event.since);
  }
  json.number("generation", event.generation);
  json.time("expires_at", event.expires_at);
  json.end_object();
  std::string out("event: ");
  out.append(token ? kEventToken : kEventState).append("\ndata: ").append(data).append("\n\n");
  return out;
}

}  // namespace credsync::ipc::http
