// One connection of a browser that came back: one request, one answer, the end. Whoever is slow, silent or says too much
// is cut off. Loop only; owned by LoopbackListener.
#pragma once

#include <memory>
#include <string>

#include "base/agenda.h"
#include "base/file.h"
#include "base/loop.h"
#include "daemon/login/pages.h"
#include "ipc/http/request_reader.h"
#include "ipc/http/wiped_buffer.h"

namespace credsync::login {

// From the first byte to the last of a request. A browser on this machine needs milliseconds.
inline constexpr Duration kRequestTime = 5s;
// Browsers connect ahead and may never ask.
inline constexpr Duration kSilentTime = 10s;
// Until an answer is taken, and until the other end has closed.
inline constexpr Duration kAnswerTime = 5s;
inline constexpr Duration kLingerTime = 1s;

// What is answered, besides the header fields that all answers have.
struct LoopbackReply {
  int status = 200;
  std::string policy;    // Content-Security-Policy of a page
  std::string location;  // of a redirect
  std::string allow;     // of 405
  std::string body;
  bool html = true;
};
LoopbackReply reply_with(Page page);
LoopbackReply plain_reply(int status, std::string words);
// The whole answer as it goes over the wire.
std::string to_wire(const LoopbackReply& reply);

class LoopbackConnection {
 public:
  // Whom it works for. Neither call may destroy the connection before it returns.
  class Owner {
   public:
    virtual ~Owner() = default;
    // A whole request, or why it cannot be read. The owner calls answer(), now or later.
    virtual void asked(LoopbackConnection& connection, const ipc::http::Request& request) = 0;
    virtual void ended(LoopbackConnection& connection, bool answered) = 0;
  };

  LoopbackConnection(Owner& owner, Loop& loop, Agenda& agenda, const Clock& clock, Descriptor socket, bool stranger);

  void start();
  void answer(const LoopbackReply& reply);
  bool stranger() const { return stranger_; }  // not a process of the user who began

 private:
  enum class Phase { kReading, kHeld, kWriting, kLingering, kEnded };
  void ready(std::uint32_t events);
  void receive();
  void transmit();
  void linger();
  void end();

  Owner& owner_;
  Loop& loop_;
  const Clock& clock_;
  Descriptor socket_;
  const bool stranger_;
  Phase phase_ = Phase::kReading;
  bool answered_ = false;
  ipc::http::RequestReader reader_;
  ipc::http::WipedBuffer input_;
  std::string output_;
  std::unique_ptr<Loop::Watch> watch_;
  Agenda::Entry deadline_;
};

}  // namespace credsync::login
