// The schema, by numbered steps: `user_version` says how many were made. Each step and its number commit together, so a
// crash in the middle leaves the schema before it. A database with more steps than we know is left alone (kTooNew).
#pragma once

#include <span>

#include "base/result.h"
#include "daemon/store/sqlite.h"

namespace credsync::store {

// In PRAGMA application_id: marks a file as ours. An empty file has 0.
constexpr std::int64_t kApplicationId = 0x43725379;  // "CrSy"

struct Migration {
  const char* sql;
};

std::span<const Migration> migrations();

// kTooNew when the database knows more steps than there are in `steps`.
Result<void> check_version(Database& database, std::span<const Migration> steps);
// Makes the steps that are missing.
Result<void> migrate(Database& database, std::span<const Migration> steps);

}  // namespace credsync::store
