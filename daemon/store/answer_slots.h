// Reserved room for answers: a preallocated file of fixed slots beside the database, so that neither a full disk nor
// SQLite stands between a provider's answer and its storage. Owned by the store thread.
//
// A slot is taken while the database holds an intent for it: the transaction that removes the intent frees it. What lies
// in a slot counts only together with its intent, for its header carries the same SlotId and the seal is bound to the
// intent's account and generation; anything else there is old, or a write that was cut off before it was acknowledged.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "daemon/store/records.h"
#include "daemon/store/sealer.h"

namespace credsync::store {

struct SlotGeometry {
  // More than the network workers there can be (32), so that answers whose commit is late do not stop refreshing.
  std::uint32_t count = 64;
  // New tokens (an answer is at most 64 KiB), those they replace, the orders to revoke them and a kept password.
  std::uint32_t bytes = 256 * 1024;
};
constexpr std::uint32_t kMostSlots = 256;  // a SlotId keeps the index in 8 bits

class AnswerSlots {
 public:
  // Opens the file, or makes it when there is none. One that is not what it should be is kept under another name
  // (".damaged") and made anew; `made` says so. An existing file keeps its own geometry. kIo: it cannot be read just now,
  // and is left as it is.
  static Result<AnswerSlots> open(const std::string& path, const SlotGeometry& geometry);

  bool made() const { return made_; }

  // A free slot for this answer, or nothing. Ids are not soon repeated: a late answer cannot land in another's slot.
  std::optional<SlotId> reserve(const std::string& account, Generation generation);
  // What load() found in the table of intents. False: there is no such slot here, the answer cannot be in it.
  bool occupy(const Intent& intent);
  // Takes a slot once more that release() freed, under the same id; false while another one has it.
  bool retake(SlotId id, const std::string& account, Generation generation);
  // Gives up what occupy() took, and leaves what lies there as it is.
  void vacate(SlotId id);
  bool reserved(SlotId id) const { return find(id) != nullptr; }
  // Frees the slot and overwrites what is in it (not synced: it is sealed, and void without its intent).
  void release(SlotId id);
  std::size_t free() const;

  // Writes the sealed answer. It is durable only after sync(), which serves all that were written before it.
  // kExhausted: larger than a slot.
  Result<void> put(SlotId id, std::string_view answer, const Sealer& sealer);
  Result<void> sync();

  // The answer in an occupied slot; nothing when none was written. kCorrupt: something was written for this intent and
  // does not open; it is then kept in a file of its own. Any other error: nobody knows what lies there, and it must stay.
  Result<std::optional<WipedString>> answer(SlotId id, const Sealer& sealer);

  // Overwrites what lies in slots that nobody occupies.
  void wipe_free();

 private:
  struct Slot {
    std::optional<SlotId> id;  // while taken
    std::string account;
    Generation generation = 0;
    std::size_t written = 0;  // bytes that release() must overwrite
  };
  AnswerSlots(Descriptor file, std::string path, SlotGeometry geometry, bool made);
  Slot* find(SlotId id);
  const Slot* find(SlotId id) const;
  std::int64_t offset(SlotId id) const;
  Result<std::string> read(std::int64_t offset, std::size_t size) const;
  void wipe_at(std::int64_t offset, std::size_t size);
  Error set_aside(SlotId id, std::string_view why) const;

  Descriptor file_;
  std::string path_;
  SlotGeometry geometry_;
  bool made_;
  std::vector<Slot> slots_;
  std::uint32_t next_turn_;  // the upper 24 bits of the next SlotId
};

}  // namespace credsync::store
