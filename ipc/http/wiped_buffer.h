// Bytes on their way into or out of one socket. They may hold tokens, so whatever leaves the buffer, because
// it was taken, cut off or moved to a larger place, is wiped. Owns its memory; loop only.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace credsync::ipc::http {

class WipedBuffer {
 public:
  WipedBuffer() = default;
  ~WipedBuffer() { release(); }
  WipedBuffer(const WipedBuffer&) = delete;
  WipedBuffer& operator=(const WipedBuffer&) = delete;

  bool empty() const { return begin_ == end_; }
  std::size_t size() const { return end_ - begin_; }
  std::size_t capacity() const { return capacity_; }
  std::string_view view() const { return {bytes_.get() + begin_, end_ - begin_}; }

  void reserve(std::size_t size);
  void append(std::string_view bytes);
  void append(char byte) { append(std::string_view(&byte, 1)); }
  // Drops `count` bytes at the front.
  void consume(std::size_t count);
  // Keeps the first `size` bytes.
  void truncate(std::size_t size);
  void clear() { consume(size()); }
  // Gives the memory back too.
  void release();

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace credsync::ipc::http
