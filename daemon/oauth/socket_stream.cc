#include "daemon/oauth/socket_stream.h"

#include <Poco/AutoPtr.h>
#include <Poco/Net/SecureStreamSocket.h>
#include <Poco/Net/SecureStreamSocketImpl.h>
#include <Poco/Net/StreamSocketImpl.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/check.h"
#include "base/text.h"
#include "daemon/oauth/tls_parts.h"
#include "daemon/oauth/tls_verify.h"

namespace credsync::oauth {
namespace {

// "error:0A000438:SSL routines::tlsv1 alert internal error" -> its last part. OpenSSL's words, no bytes of
// the peer.
std::string last_part(const Poco::Exception& error) {
  const std::string text = error.displayText();
  const std::size_t colon = text.rfind(':');
  const std::size_t start = colon == std::string::npos ? 0 : text.find_first_not_of(' ', colon + 1);
  return clean_foreign_text(start == std::string::npos ? text : text.substr(start));
}

// A stale errno or error queue of another connection makes Poco and OpenSSL misread what comes next.
void forget_old_errors() {
  errno = 0;
  ::ERR_clear_error();
}

}  // namespace

// Poco's TLS socket on a non-blocking descriptor. Poco's connect() is never used: it checks the host only if
// the handshake is over when it looks.
class Connection::TlsSocket final : public Poco::Net::SecureStreamSocketImpl {
 public:
  TlsSocket(Poco::Net::StreamSocketImpl* plain, const TlsContext& context)
      : SecureStreamSocketImpl(plain, context.poco) {
    setLazyHandshake(true);
    if (!context.host_is_ip) setPeerHostName(context.host);  // SNI is for names only (RFC 6066, 3)
    connectSSL();
  }

 protected:
  ~TlsSocket() override = default;
};

struct Connection::Step {
  int count = -1;       // bytes; 0 when reading: the end
  short wait_for = 0;   // POLLIN or POLLOUT: not yet
  std::string problem;  // why it failed for good
};

namespace {

// Runs one of Poco's TLS calls and sorts out what it says.
template <typename Step, typename Call>
Step tls_step(Call call) {
  forget_old_errors();
  Step step;
  try {
    const int result = call();
    if (result == Poco::Net::SecureStreamSocket::ERR_SSL_WANT_READ)
      step.wait_for = POLLIN;
    else if (result == Poco::Net::SecureStreamSocket::ERR_SSL_WANT_WRITE)
      step.wait_for = POLLOUT;
    else if (result < 0)
      step.problem = "connection failed";
    else
      step.count = result;
  } catch (const Poco::Exception& error) {
    step.problem = last_part(error);
    if (step.problem.empty()) step.problem = "connection failed";
  }
  ::ERR_clear_error();
  return step;
}

template <typename Step>
Step plain_step(ssize_t result, short direction) {
  Step step;
  if (result >= 0)
    step.count = static_cast<int>(result);
  else if (errno == EAGAIN || errno == EWOULDBLOCK)
    step.wait_for = direction;
  else if (errno == EINTR)
    step.wait_for = direction;
  else
    step.problem = from_errno("connection", errno).message();
  return step;
}

}  // namespace

void Connection::Release::operator()(TlsSocket* socket) const {
  socket->release();
}

Connection::Connection(Descriptor socket, std::string name)
    : socket_(std::move(socket)), fd_(socket_.get()), name_(std::move(name)) {}

Connection::~Connection() {
  forget_old_errors();
  tls_.reset();
  ::ERR_clear_error();  // a farewell that failed is nobody's business
}

std::optional<WallTime> Connection::certificate_ends() const {
  if (!tls_) return std::nullopt;
  try {
    std::tm end{};
    if (::ASN1_TIME_to_tm(::X509_get0_notAfter(tls_->peerCertificate().certificate()), &end) != 1) return std::nullopt;
    return std::min(wall_from_seconds(::timegm(&end)), kWallMax);
  } catch (const Poco::Exception&) {
    return std::nullopt;
  }
}

Outcome<void> Connection::secure(std::shared_ptr<const TlsContext> context, const Patience& patience) {
  CHECK(!tls_);
  const std::string doing = "shaking hands with " + name_;
  const VerifyWatch watch;
  context_ = std::move(context);
  try {
    // It closes the descriptor when it goes.
    Poco::AutoPtr<Poco::Net::StreamSocketImpl> plain(new Poco::Net::StreamSocketImpl(socket_.release()));
    plain->setBlocking(false);
    tls_.reset(new TlsSocket(plain.get(), *context_));
  } catch (const Poco::Exception& error) {
    return failed(TransportFault::kHandshake, name_ + ": TLS cannot start: " + last_part(error));
  }
  while (true) {
    if (auto going = patience.check(doing); !going) return going;
    const Step step = tls_step<Step>([&] { return tls_->completeHandshake(); });
    if (watch.error() != X509_V_OK)
      return failed(TransportFault::kUntrusted, name_ + ": " + verify_words(watch.error()));
    if (!step.problem.empty())
      return failed(TransportFault::kHandshake, name_ + ": TLS handshake failed: " + step.problem);
    if (step.wait_for == 0) break;
    if (auto ready = patience.wait(fd_, step.wait_for, doing); !ready) return ready;
  }
  // The handshake has checked it all. This second look, at the certificate itself, is what Poco's
  // verifyPeerCertificate(host) does, but it fails when there is none, and never looks the host up in DNS.
  try {
    const Poco::Net::X509Certificate certificate = tls_->peerCertificate();
    if (certificate_names(const_cast<X509*>(certificate.certificate()), context_->host, context_->host_is_ip))
      return {};
  } catch (const Poco::Exception&) {
  }
  return failed(TransportFault::kUntrusted, name_ + ": " + verify_words(X509_V_ERR_HOSTNAME_MISMATCH));
}

Connection::Step Connection::try_send(std::string_view bytes) {
  const int size = static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX));
  if (tls_) return tls_step<Step>([&] { return tls_->sendBytes(bytes.data(), size); });
  return plain_step<Step>(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), POLLOUT);
}

Connection::Step Connection::try_receive(std::span<char> buffer) {
  const int size = static_cast<int>(std::min<std::size_t>(buffer.size(), INT_MAX));
  if (tls_) return tls_step<Step>([&] { return tls_->receiveBytes(buffer.data(), size); });
  return plain_step<Step>(::recv(fd_, buffer.data(), buffer.size(), 0), POLLIN);
}

template <typename Attempt>
Outcome<std::size_t> Connection::run(Attempt attempt, const Patience& patience, std::string_view doing) {
  while (true) {
    // Not a byte of a request leaves too late. Once it has left, time is looked at only before a wait: what has come
    // meanwhile is taken, however long nobody was there to take it. A peer who always has one byte more is ended by what
    // the answer's reader takes.
    if (!patience.sent()) {
      if (auto going = patience.check(doing); !going) return tl::unexpected(going.error());
    }
    const Step step = attempt();
    if (!step.problem.empty()) return failed(TransportFault::kReset, name_ + ": " + step.problem);
    if (step.wait_for == 0) return static_cast<std::size_t>(step.count);
    if (auto ready = patience.wait(fd_, step.wait_for, doing); !ready) return tl::unexpected(ready.error());
  }
}

Outcome<std::size_t> Connection::send(std::string_view bytes, const Patience& patience) {
  auto sent = run([&] { return try_send(bytes); }, patience, "sending to " + name_);
  if (sent && *sent == 0 && !bytes.empty()) return failed(TransportFault::kReset, name_ + ": connection closed");
  return sent;
}

Outcome<std::size_t> Connection::receive(std::span<char> buffer, const Patience& patience) {
  return run([&] { return try_receive(buffer); }, patience, "waiting for the answer of " + name_);
}

bool Connection::is_quiet() {
  pollfd seen{.fd = fd_, .events = POLLIN | POLLRDHUP, .revents = 0};
  if (::poll(&seen, 1, 0) < 0 || (seen.revents & ~POLLIN) != 0) return false;
  if (tls_ ? tls_->available() != 0 : seen.revents != 0) return false;
  if (seen.revents == 0) return true;
  // TLS 1.3 may have sent session tickets after its answer: they are readable, but no data.
  char byte = 0;
  const Step step = try_receive({&byte, 1});
  return step.wait_for == POLLIN;
}

}  // namespace credsync::oauth
