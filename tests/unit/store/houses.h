// Both stores behind one door, so that one test serves both.
#pragma once

#include <memory>

#include "tests/fakes/memory_store.h"
#include "tests/unit/store/store_testing.h"

namespace credsync::store::testing {

constexpr std::size_t kSlots = 4;

// A store that can be closed and opened again on what it left.
class House {
 public:
  virtual ~House() = default;
  virtual void close() = 0;
  virtual Result<Snapshot> open() = 0;
  TokenStore& store() { return *store_; }
  TestLoop loop;

 protected:
  std::unique_ptr<TokenStore> store_;
};

class SqliteHouse final : public House {
 public:
  void close() override { store_.reset(); }
  Result<Snapshot> open() override {
    close();
    auto opened = SqliteStore::open(options_for(folder_.state()), loop, clock_);
    if (!opened) return opened.error();
    store_ = std::move(*opened);
    return store_->load();
  }

 private:
  TestClock clock_;
  TemporaryFolder folder_;
};

class MemoryHouse final : public House {
 public:
  void close() override { store_.reset(); }
  Result<Snapshot> open() override {
    close();
    store_ = std::make_unique<fakes::MemoryStore>(disk_, loop, kSlots);
    return store_->load();
  }

 private:
  fakes::MemoryDisk disk_;
};

}  // namespace credsync::store::testing
