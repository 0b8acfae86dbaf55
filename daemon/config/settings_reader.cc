#include "daemon/config/settings_reader.h"

#include "daemon/config/sources.h"
#include "daemon/config/table_reader.h"

namespace credsync::config {
namespace {

constexpr std::size_t kMaxSocketPath = 107;     // sockaddr_un.sun_path without its final zero
constexpr std::int64_t kMaxWorkers = 32;        // design section 3
constexpr std::int64_t kMaxConnections = 4096;  // a quarter of a common descriptor limit, for one user
constexpr std::int64_t kMaxWaiting = 65536;
constexpr std::int64_t kMaxSubscriptions = 1024;  // each may hold 64 KiB unread
constexpr std::int64_t kMaxRequests = 1'000'000;  // more than a processor answers: no limit

// The named table of the top level, or an empty one.
const Node& table_of(const Node& settings, const std::string& name, Problems& problems) {
  static const Node kEmpty;
  const auto found = settings.fields.find(name);
  if (found == settings.fields.end()) return kEmpty;
  if (found->second.is_table()) return found->second;
  problems.add(found->second.spot, name, "must be a table: [" + name + "]");
  return kEmpty;
}

void read_listen(const Node& settings, const Paths& paths, Listen& listen, Problems& problems) {
  TableReader table(table_of(settings, "listen", problems), "listen", problems);
  listen.http = (paths.runtime.empty() ? "/run/credsyncd-api" : paths.runtime) + "/api.sock";
  listen.dbus = paths.user_instance ? "session" : "system";
  table.text("http", listen.http);
  if (!listen.http.starts_with('/') || listen.http.size() > kMaxSocketPath || listen.http.ends_with('/')) {
    table.wrong("http", "must be the absolute path of a socket, at most " + std::to_string(kMaxSocketPath) + " bytes");
  }
  std::string bus = listen.dbus;
  if (table.text("dbus", bus)) {
    const std::vector<std::string_view> allowed = {"system", "session", "off"};
    if (bus == "system" || bus == "session" || bus == "off")
      listen.dbus = bus;
    else
      table.wrong_word(*table.take("dbus"), "listen.dbus", allowed);
  }
  table.finish();
}

void read_store(const Node& settings, Store& store, Problems& problems) {
  TableReader table(table_of(settings, "store", problems), "store", problems);
  std::string backend = store.backend;
  if (table.text("backend", backend) && backend != store.backend) {
    table.wrong_word(*table.take("backend"), "store.backend", {"sqlite"});
  }
  SecretSource key;
  if (read_source(table, "key", key)) {
    if (key.kind == SecretSource::Kind::kCommand) {
      table.wrong("key", "must be a file or a credential: a command cannot keep a key that is made on first start");
    } else {
      store.key = std::move(key);
    }
  }
  table.finish();
}

void read_number(TableReader& table, std::string_view key, std::int64_t most, unsigned& out) {
  std::int64_t value = 0;
  if (table.whole(key, 1, most, value)) out = static_cast<unsigned>(value);
}

}  // namespace

void read_settings(const Node& settings, const Paths& paths, Config& config, Problems& problems) {
  read_listen(settings, paths, config.listen, problems);
  read_store(settings, config.store, problems);
  TableReader refresh(table_of(settings, "refresh", problems), "refresh", problems);
  read_number(refresh, "workers", kMaxWorkers, config.refresh.workers);
  refresh.finish();
  TableReader callers(table_of(settings, "callers", problems), "callers", problems);
  read_number(callers, "max_connections_per_user", kMaxConnections, config.callers.max_connections_per_user);
  read_number(callers, "max_waiting_per_user", kMaxWaiting, config.callers.max_waiting_per_user);
  read_number(callers, "max_subscriptions_per_user", kMaxSubscriptions, config.callers.max_subscriptions_per_user);
  read_number(callers, "max_requests_per_second", kMaxRequests, config.callers.max_requests_per_second);
  callers.finish();
}

}  // namespace credsync::config
