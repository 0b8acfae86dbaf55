// What the loop hands to the store thread: requests in order, and the waits for all that came before. Thread-safe; it
// holds its lock for moves only, so that the loop never waits for a disk.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/unique_function.h"
#include "daemon/store/state_writer.h"
#include "daemon/store/token_store.h"

namespace credsync::store {

// One call of TokenStore on its way.
struct Request {
  std::variant<Change, Intent> work;
  UniqueFunction<void(Result<Ids>)> done;      // of a Change
  UniqueFunction<void(Result<SlotId>)> begun;  // of an Intent

  // The store thread's notes.
  Ids ids;
  std::string account;                     // whose order it keeps; empty: nobody's
  std::vector<std::int64_t> rows;          // ids of rows it makes or names
  std::optional<SlotId> retaken;           // a CountResend's: free again if that fails
  bool durable = false;                    // synced in its slot and answered: it can only be late, not fail
  std::optional<Result<Applied>> outcome;  // of the last attempt; unset: it waits behind another
};

// More than any day brings (each account has few changes on their way at once); beyond it only answers are accepted.
constexpr std::size_t kMostWaiting = 1'000'000;

class WriteQueue {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  // False: too many wait, or it is closed; the request is still the caller's. `needed`: it holds an answer, and is
  // taken whatever waits.
  bool push(Request& request, bool needed);
  // Ready when all that was pushed before has been processed.
  std::future<void> mark();
  // Nothing is accepted from now on.
  void close();
  std::size_t size() const;

  struct Taken {
    std::vector<Request> requests;
    std::vector<std::promise<void>> marks;  // reached with these requests
    bool ended = false;                     // closed, and this was the rest
  };
  // Waits for something to do, at most until `deadline`; takes at most `most` requests.
  Taken take(std::size_t most, std::optional<Deadline> deadline);

 private:
  struct Mark {
    std::uint64_t after;  // requests
    std::promise<void> reached;
  };
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request> requests_;
  std::deque<Mark> marks_;
  std::uint64_t pushed_ = 0;
  std::uint64_t taken_ = 0;
  bool closed_ = false;
};

}  // namespace credsync::store
