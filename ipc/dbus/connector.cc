#include "ipc/dbus/connector.h"

#include <mutex>
#include <system_error>
#include <thread>

namespace credsync::ipc::dbus {

struct Connector::Attempt {
  std::mutex mutex;
  Executor* loop = nullptr;  // null: nobody waits any more
  Then then;                 // touched on the loop only

  void deliver(const std::shared_ptr<Attempt>& self, Result<std::unique_ptr<Bus>> opened) {
    const std::lock_guard lock(mutex);
    if (loop == nullptr) return;
    loop->post([self, opened = std::move(opened)]() mutable {
      // The destructor runs on the loop too: it has been before, or comes later.
      if (self->loop != nullptr) self->then(std::move(opened));
    });
  }
};

Connector::~Connector() {
  if (!attempt_) return;
  const std::lock_guard lock(attempt_->mutex);
  attempt_->loop = nullptr;
}

void Connector::connect(BusKind kind, Then then) {
  attempt_ = std::make_shared<Attempt>();
  attempt_->loop = &loop_;
  attempt_->then = std::move(then);
  try {
    std::thread([attempt = attempt_, kind] { attempt->deliver(attempt, Bus::open(kind)); }).detach();
  } catch (const std::system_error& refused) {
    attempt_->deliver(attempt_, unavailable(std::string("start a thread: ") + refused.what()));
  }
}

}  // namespace credsync::ipc::dbus
