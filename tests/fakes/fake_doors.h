// Places that a browser comes back to, without sockets: the test is the browser.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "daemon/login/callback_door.h"

namespace credsync::fakes {

class FakeDoors final : public login::CallbackDoors {
 public:
  class Door final : public login::CallbackDoor {
   public:
    Door(FakeDoors& doors, Order o, std::uint16_t port) : order(std::move(o)), doors_(doors), port_(port) {
      doors_.open_.push_back(this);
    }
    ~Door() override { std::erase(doors_.open_, this); }
    std::uint16_t port() const override { return port_; }
    void show(const login::PageOutcome& outcome, std::function<void()> closed) override {
      shown = outcome;
      doors_.last_shown = outcome;
      closed_ = std::move(closed);
    }
    // The browser has fetched the page.
    void fetched() { std::exchange(closed_, nullptr)(); }

    const Order order;
    std::optional<login::PageOutcome> shown;

   private:
    FakeDoors& doors_;
    const std::uint16_t port_;
    std::function<void()> closed_;
  };

  Result<std::unique_ptr<login::CallbackDoor>> open(login::CallbackDoor::Order order) override {
    const std::uint16_t port = order.loopback.port.value_or(next_port_);
    if (!order.loopback.port) ++next_port_;
    const bool taken = std::any_of(open_.begin(), open_.end(), [&](const Door* d) { return d->port() == port; });
    if (taken) return Error(ErrorCode::kTaken, "port " + std::to_string(port) + " is taken");
    return std::unique_ptr<login::CallbackDoor>(std::make_unique<Door>(*this, std::move(order), port));
  }

  std::size_t open_doors() const { return open_.size(); }
  Door& last() { return *open_.back(); }
  // A browser comes back with these parameters at the newest door.
  login::CallbackDoor::Verdict come_back(const std::string& parameters) { return last().order.on_callback(parameters); }

  std::optional<login::PageOutcome> last_shown;

 private:
  std::vector<Door*> open_;
  std::uint16_t next_port_ = 40001;
};

}  // namespace credsync::fakes
