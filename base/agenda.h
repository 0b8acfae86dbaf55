// What is to happen when, on one timer. Entries live on the loop; an entry's end takes it off the agenda.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <tuple>

#include "base/time.h"

namespace credsync {

class Agenda {
 public:
  // `arm` sets or clears the one timer.
  explicit Agenda(std::function<void(std::optional<BootTime>)> arm) : arm_(std::move(arm)) {}
  Agenda(const Agenda&) = delete;
  Agenda& operator=(const Agenda&) = delete;

  class Entry {
   public:
    Entry(Agenda& agenda, std::function<void()> on_time) : agenda_(agenda), on_time_(std::move(on_time)) {}
    ~Entry() { cancel(); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    void set(BootTime when);
    void cancel();
    std::optional<BootTime> when() const { return when_; }

   private:
    friend class Agenda;
    Agenda& agenda_;
    std::function<void()> on_time_;
    std::optional<BootTime> when_;
    std::uint64_t turn_ = 0;  // among those of the same moment
  };

  // Runs what is due at `now`, each once, by time and then in the order in which it was set, but not more than callers may wait
  // for: the rest has the next turn. Arms the timer for the next. An entry's callback may destroy it.
  void run(BootTime now);
  std::optional<BootTime> next() const;

 private:
  void rearm();

  const std::function<void(std::optional<BootTime>)> arm_;
  std::set<std::tuple<BootTime, std::uint64_t, Entry*>> entries_;
  std::uint64_t next_turn_ = 0;
  std::optional<BootTime> armed_;
  bool running_ = false;
};

}  // namespace credsync
