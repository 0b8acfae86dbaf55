// What was committed, counted outside the database, so that a database which was put back to an older copy is noticed
// (docs/decisions/022): small files, each a line with the database's id and two counts. Owned by whoever owns the store.
//
// A file never says more than is durable in the database, for it is written after the commit. It is not synced: what a
// power cut takes from it makes it say less, never more, and that is harmless. So a count above the database's own means
// that the database is older than it was. A file that is missing, damaged, another database's or that cannot be written
// is done without.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"

namespace credsync::store {

struct Counts {
  std::int64_t rotations = 0;    // changes of what refresh token an account has, as far as it rotates
  std::int64_t generations = 0;  // numbers given to new token sets

  Counts& operator+=(const Counts& more) {
    rotations += more.rotations;
    generations += more.generations;
    return *this;
  }
  bool operator==(const Counts&) const = default;
};

class Witness {
 public:
  // Reads what the files say of the database with this id (of its data key: 16 hex digits). Nothing is written yet.
  Witness(std::string database, std::vector<std::string> files);

  // The highest that was ever said of this database.
  const Counts& seen() const { return seen_; }
  // Somebody says that the database is an older copy, of an unknown age: more than it can have missed.
  void suspect(const Counts& in_database);
  // `counts` are durable in the database. Never takes a count back.
  void note(const Counts& counts);

 private:
  struct File {
    std::string path;
    Descriptor open;
    bool given_up = false;
  };
  void write(File& file, const std::string& line);

  std::string database_;
  std::vector<File> files_;
  Counts seen_;
};

// The second file's place, in a directory of its own that is made if it is not there and kept out of backups: empty when
// it cannot be had, or is open to others.
std::string witness_in(const std::string& directory, const std::string& database);

}  // namespace credsync::store
