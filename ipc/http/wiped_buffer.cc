#include "ipc/http/wiped_buffer.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/secret.h"

namespace credsync::ipc::http {
namespace {

constexpr std::size_t kSmallest = 2048;  // one answer with a token

}  // namespace

void WipedBuffer::reserve(std::size_t size) {
  if (capacity_ - begin_ >= size) return;
  const std::size_t have = this->size();
  if (capacity_ >= size && begin_ >= have) {  // room enough in front, and each byte moves but rarely
    std::memcpy(bytes_.get(), bytes_.get() + begin_, have);
    wipe(bytes_.get() + begin_, have);
    begin_ = 0;
    end_ = have;
    return;
  }
  const std::size_t capacity = std::max({kSmallest, size, have * 2});
  std::unique_ptr<char[]> larger(new char[capacity]);
  if (have != 0) std::memcpy(larger.get(), bytes_.get() + begin_, have);
  wipe(bytes_.get() + begin_, have);
  bytes_ = std::move(larger);
  begin_ = 0;
  end_ = have;
  capacity_ = capacity;
}

void WipedBuffer::append(std::string_view bytes) {
  if (bytes.empty()) return;
  reserve(size() + bytes.size());
  std::memcpy(bytes_.get() + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

void WipedBuffer::consume(std::size_t count) {
  CHECK(count <= size());
  wipe(bytes_.get() + begin_, count);
  begin_ += count;
  if (begin_ == end_) begin_ = end_ = 0;
}

void WipedBuffer::truncate(std::size_t size) {
  CHECK(size <= this->size());
  wipe(bytes_.get() + begin_ + size, this->size() - size);
  end_ = begin_ + size;
}

void WipedBuffer::release() {
  clear();
  bytes_.reset();
  capacity_ = 0;
}

}  // namespace credsync::ipc::http
