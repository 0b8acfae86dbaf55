// A service on the bus that does nothing: it answers GetAccessToken with what the real one answered once. What it costs is
// what a bus and sd-bus cost. And the call that both are asked.
#pragma once

#include <systemd/sd-bus.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace bare_bus {

inline constexpr const char* kService = "org.credsync.CredSync1";
inline constexpr const char* kPath = "/org/credsync/CredSync1";
inline constexpr const char* kBare = "org.credsync.Bench.Bare";

inline int must(int result, const char* what) {
  if (result >= 0) return result;
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(-result));
  std::exit(1);
}

// Waits until the bus has taken it: sd_bus_open_system(3) does not.
inline sd_bus* connect() {
  sd_bus* bus = nullptr;
  const char* name = nullptr;
  must(::sd_bus_open_system(&bus), "connect to the bus");
  must(::sd_bus_get_unique_name(bus, &name), "connect to the bus");
  return bus;
}

// The answer, to be unreferenced; an error ends the program.
inline sd_bus_message* get_access_token(sd_bus* bus, const char* service, const char* account) {
  sd_bus_message *message = nullptr, *reply = nullptr;
  must(::sd_bus_message_new_method_call(bus, &message, service, kPath, service, "GetAccessToken"), "make a call");
  must(::sd_bus_message_append(message, "sa{sv}", account, 0), "make a call");
  sd_bus_error error = SD_BUS_ERROR_NULL;
  if (const int r = ::sd_bus_call(bus, message, 0, &error, &reply); r < 0) {
    std::fprintf(stderr, "%s: %s\n", service, error.message);
    std::exit(1);
  }
  ::sd_bus_message_unref(message);
  return reply;
}

struct Step {
  enum class Kind { kOpen, kClose, kText, kNumber } kind;
  char type = 0;
  std::string text;  // the value, or what a container holds
  std::uint64_t number = 0;
};

inline void record(sd_bus_message* message, std::vector<Step>& steps) {
  char type = 0;
  const char* contents = nullptr;
  while (must(::sd_bus_message_peek_type(message, &type, &contents), "read the reply") > 0) {
    if (contents != nullptr) {
      const std::string inside(contents);
      must(::sd_bus_message_enter_container(message, type, inside.c_str()), "read the reply");
      steps.push_back({Step::Kind::kOpen, type, inside});
      record(message, steps);
      must(::sd_bus_message_exit_container(message), "read the reply");
      steps.push_back({Step::Kind::kClose, type, {}});
    } else if (type == 's') {
      const char* text = nullptr;
      must(::sd_bus_message_read_basic(message, type, &text), "read the reply");
      steps.push_back({Step::Kind::kText, type, text});
    } else {
      std::uint64_t number = 0;
      must(::sd_bus_message_read_basic(message, type, &number), "read the reply");
      steps.push_back({Step::Kind::kNumber, type, {}, number});
    }
  }
}

// What the real service answers now, to be answered again and again.
inline std::vector<Step> recorded(const char* account) {
  sd_bus* bus = connect();
  sd_bus_message* reply = get_access_token(bus, kService, account);
  std::vector<Step> steps;
  record(reply, steps);
  ::sd_bus_message_unref(reply);
  ::sd_bus_flush_close_unref(bus);
  return steps;
}

inline int answer(sd_bus_message* message, void* steps, sd_bus_error*) {
  sd_bus_message* reply = nullptr;
  must(::sd_bus_message_new_method_return(message, &reply), "answer");
  for (const Step& step : *static_cast<std::vector<Step>*>(steps)) {
    switch (step.kind) {
      case Step::Kind::kOpen: ::sd_bus_message_open_container(reply, step.type, step.text.c_str()); break;
      case Step::Kind::kClose: ::sd_bus_message_close_container(reply); break;
      case Step::Kind::kText: ::sd_bus_message_append_basic(reply, step.type, step.text.c_str()); break;
      case Step::Kind::kNumber: ::sd_bus_message_append_basic(reply, step.type, &step.number); break;
    }
  }
  must(::sd_bus_send(nullptr, reply, nullptr), "answer");
  ::sd_bus_message_unref(reply);
  return 1;
}

template <typename Ready>
[[noreturn]] void serve(std::vector<Step> steps, Ready ready) {
  static const sd_bus_vtable kTable[] = {
      SD_BUS_VTABLE_START(0), SD_BUS_METHOD("GetAccessToken", "sa{sv}", "sta{sv}", answer, SD_BUS_VTABLE_UNPRIVILEGED),
      SD_BUS_VTABLE_END};
  sd_bus* bus = connect();
  must(::sd_bus_add_object_vtable(bus, nullptr, kPath, kBare, kTable, &steps), "serve");
  must(::sd_bus_request_name(bus, kBare, 0), "take the name of the bare service");
  ready();
  while (true) {
    if (must(::sd_bus_process(bus, nullptr), "serve") == 0) must(::sd_bus_wait(bus, UINT64_MAX), "serve");
  }
}

}  // namespace bare_bus
