#include "daemon/store/data_key.h"

#include "daemon/store/sealer.h"

namespace credsync::store {
namespace {

// One place for all: which key wraps is proved by the seal itself.
constexpr Place kDataKeyPlace = {"data_keys.wrapped", "", 0, 0};

const char* name_of(Wrapper wrapper) {
  switch (wrapper) {
    case Wrapper::kMaster: return "master";
    case Wrapper::kNext: return "next";
    case Wrapper::kRecovery: return "recovery";
  }
  return "";
}

}  // namespace

Result<std::optional<std::string>> wrapped_by(Database& database, Wrapper wrapper) {
  auto select = database.prepare("SELECT key_id FROM data_keys WHERE wrapped_by = ?1");
  if (!select) return select.error();
  const Result<bool> row = select->with(name_of(wrapper)).next();
  if (!row) return row.error();
  return *row ? std::optional<std::string>(select->text(0)) : std::nullopt;
}

Result<Key> unwrap(Database& database, Wrapper wrapper, const Key& key) {
  auto select = database.prepare("SELECT key_id, wrapped FROM data_keys WHERE wrapped_by = ?1");
  if (!select) return select.error();
  const Result<bool> row = select->with(name_of(wrapper)).next();
  if (!row) return row.error();
  if (!*row) return not_found("holds no data key");
  if (select->text(0) != key.id()) return denied("the data key is wrapped by another key, of id " + select->text(0));
  auto opened = open(key, select->blob(1), kDataKeyPlace);
  if (!opened || opened->text().size() != kKeyBytes) return corrupt("the wrapped data key is damaged");
  return Key::from(opened->text());
}

Result<void> wrap(Database& database, Wrapper wrapper, const Key& key, const Key& data_key) {
  const std::string wrapped = seal(key, data_key.read().expose(), kDataKeyPlace);
  auto insert = database.prepare("INSERT OR REPLACE INTO data_keys (wrapped_by, key_id, wrapped) VALUES (?1, ?2, ?3)");
  if (!insert) return insert.error();
  return insert->with(name_of(wrapper), key.id(), Blob{wrapped}).run();
}

Result<void> drop_wrapping(Database& database, Wrapper wrapper) {
  auto remove = database.prepare("DELETE FROM data_keys WHERE wrapped_by = ?1");
  if (!remove) return remove.error();
  return remove->with(name_of(wrapper)).run();
}

Result<void> promote_next(Database& database) {
  return database.execute(
      "DELETE FROM data_keys WHERE wrapped_by = 'master';"
      "UPDATE data_keys SET wrapped_by = 'master' WHERE wrapped_by = 'next'");
}

}  // namespace credsync::store
