#include "tests/unit/transport/hostile_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "base/check.h"

namespace credsync::test {
namespace {

int listen_on_loopback(int backlog, std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  CHECK(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(::listen(fd, backlog) == 0);
  CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port = ntohs(address.sin_port);
  return fd;
}

void block_sigpipe() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

SSL_CTX* make_context(const ServerTls& tls) {
  SSL_CTX* context = ::SSL_CTX_new(::TLS_server_method());
  ::SSL_CTX_set_security_level(context, 0);  // old versions too: refusing them is the client's part
  CHECK(::SSL_CTX_use_certificate(context, tls.identity->certificate.get()) == 1);
  CHECK(::SSL_CTX_use_PrivateKey(context, tls.identity->key.get()) == 1);
  if (tls.highest_version != 0) {
    ::SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    ::SSL_CTX_set_max_proto_version(context, tls.highest_version);
    ::SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
  }
  if (tls.client_authority != nullptr) {
    ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context), tls.client_authority->certificate.get());
    ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return context;
}

}  // namespace

Peer::Peer(int fd, SSL_CTX* tls, std::atomic<int>& requests) : fd_(fd), requests_(requests) {
  if (tls != nullptr) {
    ssl_ = ::SSL_new(tls);
    ::SSL_set_fd(ssl_, fd);
    ::SSL_set_accept_state(ssl_);
  }
}

Peer::~Peer() {
  ::SSL_free(ssl_);
}

bool Peer::handshake() {
  return ssl_ == nullptr || ::SSL_do_handshake(ssl_) == 1;
}

bool Peer::handshake_in_single_bytes() {
  BIO* out = ::BIO_new(::BIO_s_mem());
  BIO* socket = ::SSL_get_rbio(ssl_);
  ::BIO_up_ref(socket);
  ::SSL_set0_wbio(ssl_, out);
  ::SSL_set0_rbio(ssl_, ::BIO_new(::BIO_s_mem()));
  ::BIO_set_mem_eof_return(::SSL_get_rbio(ssl_), -1);
  int done = 0;
  while (done != 1) {
    done = ::SSL_do_handshake(ssl_);
    char* data = nullptr;
    const long size = ::BIO_get_mem_data(out, &data);
    for (long i = 0; i < size; ++i) {
      if (::send(fd_, data + i, 1, MSG_NOSIGNAL) != 1) done = -2;
    }
    BIO_reset(out);
    if (done == 1 || done == -2 || ::SSL_get_error(ssl_, done) != SSL_ERROR_WANT_READ) break;
    const std::string more = read_record();
    if (more.empty()) break;
    ::BIO_write(::SSL_get_rbio(ssl_), more.data(), static_cast<int>(more.size()));
  }
  ::BIO_up_ref(socket);
  ::SSL_set0_wbio(ssl_, socket);
  ::SSL_set0_rbio(ssl_, socket);
  return done == 1;
}

std::string Peer::server_name() const {
  const char* name = ::SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? "" : name;
}

std::string Peer::read_some() {
  std::string bytes(16 * 1024, '\0');
  const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), 0);
  bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return bytes;
}

// Not a byte more: what follows the handshake is read from the socket again.
std::string Peer::read_record() {
  std::string record(5, '\0');
  if (::recv(fd_, record.data(), record.size(), MSG_WAITALL) != 5) return {};
  const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(record[at])); };
  const std::size_t size = byte(3) << 8 | byte(4);
  record.resize(5 + size);
  return ::recv(fd_, record.data() + 5, size, MSG_WAITALL) == static_cast<ssize_t>(size) ? record : std::string();
}

bool Peer::fill() {
  char chunk[4096];
  const auto got = ssl_ == nullptr ? ::recv(fd_, chunk, sizeof chunk, 0)
                                   : static_cast<ssize_t>(::SSL_read(ssl_, chunk, sizeof chunk));
  if (got <= 0) return false;
  buffer_.append(chunk, static_cast<std::size_t>(got));
  return true;
}

std::string Peer::read_head() {
  std::size_t end = std::string::npos;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return {};
  }
  std::string head = buffer_.substr(0, end + 4);
  buffer_.erase(0, end + 4);
  return head;
}

std::string Peer::read_request() {
  std::string request = read_head();
  if (request.empty()) return {};
  const std::size_t at = request.find("Content-Length: ");
  const std::size_t size = at == std::string::npos ? 0 : std::strtoul(request.c_str() + at + 16, nullptr, 10);
  while (buffer_.size() < size) {
    if (!fill()) return {};
  }
  request += buffer_.substr(0, size);
  buffer_.erase(0, size);
  ++requests_;
  return request;
}

bool Peer::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ssl_ == nullptr
                          ? ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL)
                          : static_cast<ssize_t>(::SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())));
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void Peer::write_forever(std::string_view bytes) {
  while (write(bytes)) {
  }
}

void Peer::wait_for_hang_up() {
  while (!read_some().empty()) {
  }
}

void Peer::wait_without_reading() {
  pollfd ended{.fd = fd_, .events = POLLRDHUP, .revents = 0};
  ::poll(&ended, 1, -1);
}

void Peer::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  // The descriptor number must stay taken until the server drops it: put something harmless in its place.
  const int other = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ::dup2(other, fd_);
  ::close(other);
}

void Peer::close() {
  if (ssl_ != nullptr) ::SSL_shutdown(ssl_);
  ::shutdown(fd_, SHUT_RDWR);
}

void Peer::close_without_notify() {
  ::shutdown(fd_, SHUT_RDWR);
}

Server::Server(Script script, ServerTls tls) : script_(std::move(script)) {
  if (tls.identity != nullptr) tls_ = make_context(tls);
  listener_ = listen_on_loopback(128, port_);
  acceptor_ = std::thread([this] { accept_all(); });
}

Server::~Server() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (const int fd : open_)
      ::shutdown(fd, SHUT_RDWR);
  }
  acceptor_.join();
  for (std::thread& thread : threads_)
    thread.join();
  ::close(listener_);
  ::SSL_CTX_free(tls_);
}

void Server::accept_all() {
  block_sigpipe();
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (fd >= 0 && stopping_) ::close(fd);
    if (fd < 0 || stopping_) return;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // single bytes go out as single segments
    ++connections_;
    open_.push_back(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void Server::serve(int fd) {
  block_sigpipe();
  {
    Peer peer(fd, tls_, requests_);
    script_(peer);
  }
  const std::lock_guard lock(mutex_);
  open_.erase(std::find(open_.begin(), open_.end(), fd));
  ::close(fd);
  ++ended_;
}

Server::Script answer_always(std::string answer) {
  return [answer = std::move(answer)](Peer& peer) {
    if (!peer.handshake()) return;
    while (!peer.read_request().empty() && peer.write(answer)) {
    }
  };
}

std::string ok_answer(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

// A listener whose queue is full and never emptied: the kernel drops further SYNs.
BlackHole::BlackHole() {
  fds_.push_back(listen_on_loopback(0, port_));
  while (true) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    fds_.push_back(fd);
    ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, 100) == 0) return;  // loopback answers in microseconds, or never
    CHECK(fds_.size() < 64);
  }
}

BlackHole::~BlackHole() {
  for (const int fd : fds_)
    ::close(fd);
}

bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace credsync::test
