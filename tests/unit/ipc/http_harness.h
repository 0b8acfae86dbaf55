// A server on a real loop and clients on real sockets, in one thread: clients never block, the loop is turned
// until what a test waits for has come, or its patience (kPatience) is over.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/loop.h"
#include "ipc/http/server.h"
#include "tests/fakes/fake_service.h"

namespace credsync::ipc::http {

inline constexpr std::chrono::seconds kPatience{10};

struct Response {
  int status = 0;
  std::string head;                            // status line and header as they came
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// One client's end. What came is kept in `received` until it is taken.
class Client {
 public:
  explicit Client(const std::string& path);
  Client(Client&&) = default;
  Client& operator=(Client&&) = default;

  // Sends what the socket takes now and returns how much that was.
  std::size_t send_some(std::string_view bytes);
  void read_available();
  void shut_writing();
  void leave() { socket_.reset(); }
  int fd() const { return socket_.get(); }
  bool connected() const { return static_cast<bool>(socket_); }

  std::string received;
  bool ended = false;   // the server closed, orderly or not, and all it sent is read
  bool broken = false;  // it takes no more bytes

 private:
  Descriptor socket_;
};

class HttpTest : public ::testing::Test {
 protected:
  HttpTest();
  ~HttpTest() override;

  // Starts with these limits; called by the first connect() otherwise.
  void start(const Limits& limits = generous(), const Timing& timing = {});
  static Limits generous();

  void turn(std::chrono::milliseconds at_most = std::chrono::milliseconds(5));
  bool until(const std::function<bool()>& condition, std::chrono::milliseconds patience = kPatience);
  // Lets the loop run until it has nothing to do.
  void settle();

  Client connect();
  void send(Client& client, std::string_view bytes);
  // The next response of `client`; status 0 when none comes.
  Response read(Client& client);
  // One request on a new connection.
  Response ask(std::string_view bytes);
  Response get(std::string_view target);
  Response post(std::string_view target, std::string_view body);
  bool ends(Client& client);

  std::string directory_;
  std::string path_;
  SystemClock clock_;
  std::unique_ptr<Loop> loop_;
  fakes::FakeService service_;
  std::unique_ptr<Server> server_;
};

// Takes one complete response off the front of `bytes`; nothing while it is incomplete.
std::optional<Response> take_response(std::string& bytes);

std::string request(std::string_view method, std::string_view target, std::string_view body = {},
                    std::string_view more = {});

}  // namespace credsync::ipc::http
