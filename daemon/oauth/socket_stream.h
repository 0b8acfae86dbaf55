// One connection to a provider, plain or TLS. Reads and writes wait on the exchange's Patience and never
// block beyond it. Used by one thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "daemon/oauth/socket_patience.h"
#include "daemon/oauth/tls_context.h"

namespace credsync::oauth {

class Connection {
 public:
  // Takes over a connected, non-blocking socket. `name` is for words.
  Connection(Descriptor socket, std::string name);
  ~Connection();  // says goodbye in TLS if it can do so at once
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The TLS handshake, with the peer's certificate verified in it. kUntrusted, kHandshake, kDeadline, or
  // stopped.
  Outcome<void> secure(std::shared_ptr<const TlsContext> context, const Patience& patience);

  // When the peer's own certificate ends; nothing before secure(), and where it does not say so in a way we read.
  std::optional<WallTime> certificate_ends() const;

  // For words: once a proxy's connection has become the provider's.
  void rename(std::string name) { name_ = std::move(name); }

  // At least one byte was accepted, else an error: kReset, kDeadline, or stopped.
  Outcome<std::size_t> send(std::string_view bytes, const Patience& patience);
  // 0: the peer ended the stream in an orderly way (in TLS: with a close_notify).
  Outcome<std::size_t> receive(std::span<char> buffer, const Patience& patience);

  // True while the peer neither sent anything nor hung up, which is what an idle connection must be like.
  // Never waits.
  bool is_quiet();

 private:
  class TlsSocket;
  struct Step;  // what one attempt came to
  Step try_send(std::string_view bytes);
  Step try_receive(std::span<char> buffer);
  template <typename Attempt>
  Outcome<std::size_t> run(Attempt attempt, const Patience& patience, std::string_view doing);

  Descriptor socket_;  // given to the TLS socket once there is one
  int fd_ = -1;
  std::shared_ptr<const TlsContext> context_;  // lives as long as the TLS socket
  struct Release {
    void operator()(TlsSocket* socket) const;
  };
  std::unique_ptr<TlsSocket, Release> tls_;
  std::string name_;
};

}  // namespace credsync::oauth
