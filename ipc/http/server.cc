#include "ipc/http/server.h"

#include "ipc/http/hub.h"

namespace credsync::ipc::http {

Result<std::unique_ptr<Server>> Server::create(Loop& loop, const Clock& clock, Service& service, const Limits& limits,
                                               const Timing& timing) {
  auto hub = Hub::create(loop, clock, service, timing);
  if (!hub) return std::move(hub).error();
  (*hub)->set_limits(limits);
  return std::unique_ptr<Server>(new Server(std::move(*hub)));
}

Server::Server(std::unique_ptr<Hub> hub) : hub_(std::move(hub)) {}
Server::~Server() = default;

Result<void> Server::listen(const std::string& path, mode_t mode) {
  auto socket = ListeningSocket::open(path, mode);
  if (!socket) return std::move(socket).error();
  return hub_->add(std::move(*socket));
}

Result<void> Server::adopt(Descriptor listening) {
  auto socket = ListeningSocket::adopt(std::move(listening));
  if (!socket) return std::move(socket).error();
  return hub_->add(std::move(*socket));
}

void Server::stop_listening() {
  hub_->stop_listening();
}
void Server::set_limits(const Limits& limits) {
  hub_->set_limits(limits);
}
void Server::end_waiting() {
  hub_->end_waiting();
}
void Server::stop(Duration at_most, UniqueFunction<void()> done) {
  hub_->stop(at_most, std::move(done));
}
Counts Server::counts() const {
  return hub_->counts();
}

}  // namespace credsync::ipc::http
