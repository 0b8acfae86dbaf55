// SQLite's disk with fail points: a VFS around the real one that becomes the default in programs that link this file.
// sqlite.open, .read, .write, .truncate, .sync and .delete are reached before what they name is done; "error ERRNO" makes
// it fail as a disk would (ENOSPC: full), "sleep" and "hold" make it slow. Without memory mapping and shared memory, which
// the store does not use.
#include <sqlite3.h>

#include <cerrno>
#include <cstring>

#include "base/fail_point.h"

namespace credsync {
namespace {

sqlite3_vfs* real_vfs = nullptr;

struct File {
  sqlite3_file base;  // what SQLite sees; the real one's memory follows
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

sqlite3_file* real(sqlite3_file* file) {
  return reinterpret_cast<File*>(file)->real();
}

int broken(const char* point, int code) {
  const int error = fail_point::reached(point);
  if (error == 0) return SQLITE_OK;
  return error == ENOSPC ? SQLITE_FULL : code;
}

int close(sqlite3_file* file) {
  return real(file)->pMethods->xClose(real(file));
}
int read(sqlite3_file* file, void* to, int bytes, sqlite3_int64 at) {
  if (const int error = broken("sqlite.read", SQLITE_IOERR_READ)) return error;
  return real(file)->pMethods->xRead(real(file), to, bytes, at);
}
int write(sqlite3_file* file, const void* from, int bytes, sqlite3_int64 at) {
  if (const int error = broken("sqlite.write", SQLITE_IOERR_WRITE)) return error;
  return real(file)->pMethods->xWrite(real(file), from, bytes, at);
}
int truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (const int error = broken("sqlite.truncate", SQLITE_IOERR_TRUNCATE)) return error;
  return real(file)->pMethods->xTruncate(real(file), size);
}
int sync(sqlite3_file* file, int flags) {
  if (const int error = broken("sqlite.sync", SQLITE_IOERR_FSYNC)) return error;
  return real(file)->pMethods->xSync(real(file), flags);
}
int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return real(file)->pMethods->xFileSize(real(file), size);
}
int lock(sqlite3_file* file, int level) {
  return real(file)->pMethods->xLock(real(file), level);
}
int unlock(sqlite3_file* file, int level) {
  return real(file)->pMethods->xUnlock(real(file), level);
}
int check_reserved_lock(sqlite3_file* file, int* taken) {
  return real(file)->pMethods->xCheckReservedLock(real(file), taken);
}
int file_control(sqlite3_file* file, int what, void* argument) {
  return real(file)->pMethods->xFileControl(real(file), what, argument);
}
int sector_size(sqlite3_file* file) {
  return real(file)->pMethods->xSectorSize(real(file));
}
int characteristics(sqlite3_file* file) {
  return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

const sqlite3_io_methods* methods() {
  static const sqlite3_io_methods all = [] {
    sqlite3_io_methods m;
    std::memset(&m, 0, sizeof m);
    m.iVersion = 1;
    m.xClose = close;
    m.xRead = read;
    m.xWrite = write;
    m.xTruncate = truncate;
    m.xSync = sync;
    m.xFileSize = file_size;
    m.xLock = lock;
    m.xUnlock = unlock;
    m.xCheckReservedLock = check_reserved_lock;
    m.xFileControl = file_control;
    m.xSectorSize = sector_size;
    m.xDeviceCharacteristics = characteristics;
    return m;
  }();
  return &all;
}

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  if (const int error = broken("sqlite.open", SQLITE_CANTOPEN)) return error;
  const int result = real_vfs->xOpen(real_vfs, name, real(file), flags, out_flags);
  if (real(file)->pMethods != nullptr) file->pMethods = methods();
  return result;
}
int remove(sqlite3_vfs*, const char* name, int sync_folder) {
  if (const int error = broken("sqlite.delete", SQLITE_IOERR_DELETE)) return error;
  return real_vfs->xDelete(real_vfs, name, sync_folder);
}

// Before main: whoever opens a database finds it in the real one's place.
[[gnu::constructor]] void take_the_place() {
  ::sqlite3_initialize();
  real_vfs = ::sqlite3_vfs_find(nullptr);
  static sqlite3_vfs faulty = *real_vfs;
  faulty.zName = "faulty";
  faulty.pNext = nullptr;
  faulty.szOsFile = static_cast<int>(sizeof(File)) + real_vfs->szOsFile;
  faulty.xOpen = open;
  faulty.xDelete = remove;
  ::sqlite3_vfs_register(&faulty, 1);
}

}  // namespace
}  // namespace credsync
