#include "daemon/oauth/connection_cache.h"

#include <algorithm>
#include <iterator>

namespace credsync::oauth {

ConnectionCache::Entries ConnectionCache::take_out_old() {
  Entries old;
  const BootTime oldest = clock_.boot() - kKeptIdle;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    if (entry->since < oldest) old.splice(old.end(), entries_, entry);
    entry = next;
  }
  return old;
}

std::unique_ptr<Connection> ConnectionCache::take(const ConnectionKey& key) {
  Entries closing;  // closed when this returns, after the lock
  while (true) {
    std::unique_ptr<Connection> connection;
    {
      const std::lock_guard lock(mutex_);
      closing.splice(closing.end(), take_out_old());
      const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
      if (found == entries_.end()) return nullptr;
      connection = std::move(found->connection);
      entries_.erase(found);
    }
    if (connection->is_quiet()) return connection;
  }
}

void ConnectionCache::keep(ConnectionKey key, std::unique_ptr<Connection> connection) {
  Entries closing;
  const std::lock_guard lock(mutex_);
  closing = take_out_old();
  entries_.push_front({.key = std::move(key), .connection = std::move(connection), .since = clock_.boot()});
  const ConnectionKey& mine = entries_.front().key;
  std::size_t same = 0;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    if (entry->key == mine && ++same > kMaxKeptPerOrigin) closing.splice(closing.end(), entries_, entry);
    entry = next;
  }
  if (entries_.size() > kMaxKept) closing.splice(closing.end(), entries_, std::prev(entries_.end()));
}

}  // namespace credsync::oauth
