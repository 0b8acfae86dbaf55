// A server on loopback whose every step the test writes down: one thread a connection, each running the
// test's script. Going out of scope ends all of them, whatever they are waiting for.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/unit/transport/certificates.h"

namespace credsync::test {

struct ServerTls {
  const Identity* identity = nullptr;          // null: plain TCP
  int highest_version = 0;                     // TLS1_1_VERSION …; 0: any
  const Identity* client_authority = nullptr;  // demand client certificates of it
};

// The server's end of one connection.
class Peer {
 public:
  Peer(int fd, SSL_CTX* tls, std::atomic<int>& requests);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  int fd() const { return fd_; }
  bool handshake();  // at once true without TLS
  // The server's flights go out one byte a segment.
  bool handshake_in_single_bytes();
  std::string server_name() const;  // as the ClientHello said (SNI); empty: not
  // Whatever comes first: the ClientHello, a request. At most one read.
  std::string read_some();
  // One request, head and body; empty when the client hung up instead. Counted when whole.
  std::string read_request();
  // Only the head of the request is taken off the connection.
  std::string read_head();
  bool write(std::string_view bytes);
  // As long as the client listens.
  void write_forever(std::string_view bytes);
  void wait_for_hang_up();      // takes and drops what still comes
  void wait_without_reading();  // until the server ends; the client's bytes pile up
  void reset();                 // RST instead of FIN
  void close();                 // close_notify, FIN
  void close_without_notify();

 private:
  std::string read_record();
  bool fill();

  int fd_;
  SSL* ssl_ = nullptr;
  std::atomic<int>& requests_;
  std::string buffer_;
};

class Server {
 public:
  using Script = std::function<void(Peer&)>;

  explicit Server(Script script, ServerTls tls = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  int requests() const { return requests_; }  // whole ones
  int scripts_ended() const { return ended_; }

 private:
  void accept_all();
  void serve(int fd);

  Script script_;
  SSL_CTX* tls_ = nullptr;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<int> requests_{0};
  std::atomic<int> ended_{0};
  std::mutex mutex_;
  bool stopping_ = false;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// Handshake, then the same answer to every request until the client leaves.
Server::Script answer_always(std::string answer);
// "HTTP/1.1 200 OK" with a length.
std::string ok_answer(std::string_view body);

// A port of loopback where a connection attempt gets no answer at all.
class BlackHole {
 public:
  BlackHole();
  ~BlackHole();
  std::uint16_t port() const { return port_; }

 private:
  std::vector<int> fds_;
  std::uint16_t port_ = 0;
};

// Polls a real condition; false after 10 s.
bool eventually(const std::function<bool()>& condition);

}  // namespace credsync::test
