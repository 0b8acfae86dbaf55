// Who the other end is: nothing leaves before the certificate has been verified for this host.
#include <openssl/ssl.h>

#include "tests/unit/transport/transport_fixture.h"

namespace credsync::test {
namespace {

class HandshakeTest : public TransportTest {
 protected:
  // A transport that takes `path` for the system's roots; whatever the tester's own environment says.
  std::unique_ptr<Transport> trusting(const char* variable, const std::string& path) {
    for (const char* name : {"SSL_CERT_FILE", "SSL_CERT_DIR"})
      ::unsetenv(name);
    ::setenv(variable, path.c_str(), 1);
    auto transport = std::make_unique<Transport>(clock_, loopback_only, oauth::Proxy{});
    ::unsetenv(variable);
    return transport;
  }
};

void expect_words(const ExchangeOutcome& outcome, std::string_view words) {
  const TransportError* error = error_of(outcome);
  ASSERT_NE(error, nullptr);
  EXPECT_NE(error->words.find(words), std::string::npos) << error->words;
}

TEST_F(HandshakeTest, GoodCertificateGetsTheRequest) {
  Server server(answer_always(ok_answer("{}")), tls());
  EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
  EXPECT_EQ(server.requests(), 1);
}

TEST_F(HandshakeTest, CertificateOfAnotherHostGetsNothing) {
  const Identity other = make_identity({.alt_names = "DNS:other.test"}, &authority());
  Server server(answer_always(ok_answer("{}")), {.identity = &other});
  const auto outcome = exchange(https_url(server), options());
  EXPECT_FAULT(outcome, TransportFault::kUntrusted, false);
  expect_words(outcome, "issued for another host");
  EXPECT_EQ(server.requests(), 0);
}

// The trap in Poco: when the handshake outlasts its connect time-out the host check sees no certificate and
// passes.
TEST_F(HandshakeTest, LateCertificateOfAnotherHostGetsNothing) {
  const Identity other = make_identity({.alt_names = "DNS:other.test"}, &authority());
  std::atomic<bool> shaken = false;
  Server server(
      [&](Peer& peer) {
        shaken = peer.handshake_in_single_bytes();
        peer.read_request();
      },
      {.identity = &other});
  const auto outcome = exchange(https_url(server), options());
  EXPECT_FAULT(outcome, TransportFault::kUntrusted, false);
  expect_words(outcome, "issued for another host");
  EXPECT_TRUE(eventually([&] { return server.scripts_ended() == 1; }));
  EXPECT_FALSE(shaken);
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(HandshakeTest, LateGoodCertificateGetsTheRequest) {
  Server server(
      [](Peer& peer) {
        if (peer.handshake_in_single_bytes() && !peer.read_request().empty()) peer.write(ok_answer("late"));
      },
      tls());
  EXPECT_ANSWER(exchange(https_url(server), options()), "late");
}

TEST_F(HandshakeTest, CommonNameDoesNotCount) {
  const Identity named = make_identity({.common_name = kHost, .alt_names = ""}, &authority());
  Server server(answer_always(ok_answer("{}")), {.identity = &named});
  EXPECT_FAULT(exchange(https_url(server), options()), TransportFault::kUntrusted, false);
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(HandshakeTest, RefusedCertificatesSayWhy) {
  const Identity stranger = make_identity({.common_name = "Stranger", .alt_names = "", .authority = true});
  const Identity expired =
      make_identity({.alt_names = "DNS:provider.test", .valid_from_days = -9, .valid_until_days = -1}, &authority());
  const Identity future = make_identity({.alt_names = "DNS:provider.test", .valid_from_days = 2}, &authority());
  const Identity self_signed = make_identity({.alt_names = "DNS:provider.test"});
  const Identity strange = make_identity({.alt_names = "DNS:provider.test"}, &stranger);
  const std::pair<const Identity*, const char*> cases[] = {{&expired, "certificate expired"},
                                                           {&future, "not valid yet"},
                                                           {&self_signed, "self-signed certificate"},
                                                           {&strange, "unknown authority"}};
  for (const auto& [identity, words] : cases) {
    SCOPED_TRACE(words);
    Server server(answer_always(ok_answer("{}")), {.identity = identity});
    const auto outcome = exchange(https_url(server), options());
    EXPECT_FAULT(outcome, TransportFault::kUntrusted, false);
    expect_words(outcome, words);
    EXPECT_EQ(server.requests(), 0);
  }
}

TEST_F(HandshakeTest, CaFileReplacesTheSystemsRoots) {
  const Identity public_authority = make_identity({.common_name = "Public", .authority = true});
  const auto transport_of_system =
      trusting("SSL_CERT_FILE", write_file("public.pem", public_authority.certificate_pem()));
  Transport& transport = *transport_of_system;
  const Identity known = make_identity({.alt_names = "DNS:provider.test"}, &public_authority);
  Server public_server(answer_always(ok_answer("{}")), {.identity = &known});
  Server private_server(answer_always(ok_answer("{}")), tls());
  ExchangeOptions system_roots = options();
  system_roots.ca_file.clear();
  EXPECT_ANSWER(transport.exchange(post(https_url(public_server)), system_roots), "{}");
  EXPECT_FAULT(transport.exchange(post(https_url(private_server)), system_roots), TransportFault::kUntrusted, false);
  EXPECT_ANSWER(transport.exchange(post(https_url(private_server)), options()), "{}");
  EXPECT_FAULT(transport.exchange(post(https_url(public_server)), options()), TransportFault::kUntrusted, false);
}

TEST_F(HandshakeTest, AddressLiteralsAreVerifiedAsAddresses) {
  const Identity by_address = make_identity({.alt_names = "IP:127.0.0.1"}, &authority());
  const Identity by_name = make_identity({.alt_names = "DNS:127.0.0.1"}, &authority());
  Server right(answer_always(ok_answer("ip")), {.identity = &by_address});
  Server wrong(answer_always(ok_answer("ip")), {.identity = &by_name});
  const auto url = [](const Server& server) { return "https://127.0.0.1:" + std::to_string(server.port()) + "/"; };
  EXPECT_ANSWER(exchange(url(right), options()), "ip");
  EXPECT_FAULT(exchange(url(wrong), options()), TransportFault::kUntrusted, false);
}

// RFC 6066, 3: addresses are not permitted in it.
TEST_F(HandshakeTest, ServerNameIsSentForNamesOnly) {
  const Identity both = make_identity({.alt_names = "DNS:provider.test,IP:127.0.0.1"}, &authority());
  Server server(
      [](Peer& peer) {
        peer.handshake();
        peer.read_request();
        peer.write(ok_answer("asked for '" + peer.server_name() + "'"));
      },
      {.identity = &both});
  EXPECT_ANSWER(exchange(https_url(server), options()), "asked for 'provider.test'");
  EXPECT_ANSWER(exchange("https://127.0.0.1:" + std::to_string(server.port()) + "/", options()), "asked for ''");
}

TEST_F(HandshakeTest, SystemsRootsAreAFileOrADirectory) {
  char link[16];
  std::snprintf(link, sizeof link, "%08lx.0", ::X509_subject_name_hash(authority().certificate.get()));
  const std::string hashed = write_file(link, authority().certificate_pem());
  const std::string folder = std::filesystem::path(hashed).parent_path();
  Server server(answer_always(ok_answer("{}")), tls());
  ExchangeOptions system_roots = options();
  system_roots.ca_file.clear();
  const std::pair<const char*, std::string> places[] = {{"SSL_CERT_FILE", ca_file_}, {"SSL_CERT_DIR", folder}};
  for (const auto& [variable, path] : places) {
    EXPECT_ANSWER(trusting(variable, path)->exchange(post(https_url(server)), system_roots), "{}");
  }
  EXPECT_FAULT(trusting("SSL_CERT_FILE", "/nonexistent")->exchange(post(https_url(server)), system_roots),
               TransportFault::kBadRequest, false);
}

TEST_F(HandshakeTest, OldTlsIsRefused) {
  ServerTls old = tls();
  old.highest_version = TLS1_1_VERSION;
  Server server(answer_always(ok_answer("{}")), old);
  EXPECT_FAULT(exchange(https_url(server), options()), TransportFault::kHandshake, false);
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(HandshakeTest, Tls12IsEnough) {
  ServerTls older = tls();
  older.highest_version = TLS1_2_VERSION;
  Server server(answer_always(ok_answer("1.2")), older);
  EXPECT_ANSWER(exchange(https_url(server), options()), "1.2");
}

TEST_F(HandshakeTest, PlainTextServerIsNotTls) {
  Server server([](Peer& peer) {
    peer.read_some();
    peer.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  });
  EXPECT_FAULT(exchange(https_url(server), options()), TransportFault::kHandshake, false);
}

TEST_F(HandshakeTest, ClosedInTheHandshakeIsNotSent) {
  Server server([](Peer& peer) { peer.read_some(); }, tls());
  EXPECT_FAULT(exchange(https_url(server), options()), TransportFault::kHandshake, false);
}

TEST_F(HandshakeTest, CaFileThatCannotServeIsOurMistake) {
  Server server(answer_always(ok_answer("{}")), tls());
  ExchangeOptions bad = options();
  for (const std::string& file :
       {std::string("/nonexistent/ca.pem"), write_file("empty.pem", ""),
        write_file("noise.pem", "-----BEGIN CERTIFICATE-----\nnoise\n-----END CERTIFICATE-----\n"),
        write_file("half.pem", authority().certificate_pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n")}) {
    bad.ca_file = file;
    EXPECT_FAULT(exchange(https_url(server), bad), TransportFault::kBadRequest, false);
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(HandshakeTest, ChangedCaFileIsReadAgain) {
  const Identity stranger = make_identity({.common_name = "Stranger", .alt_names = "", .authority = true});
  Server server(answer_always(ok_answer("{}")), tls());
  EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
  std::filesystem::rename(write_file("new.pem", stranger.certificate_pem()), ca_file_);
  // Not even the connection that the old file had vouched for is used again.
  EXPECT_FAULT(exchange(https_url(server), options()), TransportFault::kUntrusted, false);
  std::filesystem::rename(write_file("new.pem", authority().certificate_pem()), ca_file_);
  EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
}

class ClientCertificateTest : public TransportTest {
 protected:
  ServerTls demanding(int version = 0) const {
    return {.identity = &good(), .highest_version = version, .client_authority = &authority()};
  }
  ExchangeOptions with(const Identity& client, const Secret& key) {
    ExchangeOptions result = options();
    result.client_certificate = write_file("client.pem", client.certificate_pem());
    result.client_key = &key;
    return result;
  }
};

TEST_F(ClientCertificateTest, IsAccepted) {
  const Identity client = make_identity({.common_name = "client"}, &authority());
  const Secret key(client.key_pem());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Server server(answer_always(ok_answer("known")), demanding(version));
    EXPECT_ANSWER(exchange(https_url(server), with(client, key)), "known");
  }
}

TEST_F(ClientCertificateTest, MissingIsRefusedByTheServer) {
  Server server(answer_always(ok_answer("known")), demanding());
  const auto outcome = exchange(https_url(server), options());
  ASSERT_NE(error_of(outcome), nullptr);
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(ClientCertificateTest, KeyThatDoesNotFitIsASecretSourcesFault) {
  const Identity client = make_identity({.common_name = "client"}, &authority());
  const Identity other = make_identity({.common_name = "other"}, &authority());
  Server server(answer_always(ok_answer("known")), demanding());
  for (const std::string& pem : {other.key_pem(), std::string("no key"), std::string()}) {
    const Secret key(pem);
    EXPECT_FAULT(exchange(https_url(server), with(client, key)), TransportFault::kSecretSource, false);
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(ClientCertificateTest, AnotherKeyDoesNotUseTheFirstOnesConnection) {
  const Identity client = make_identity({.common_name = "client"}, &authority());
  const Secret key(client.key_pem());
  const Secret wrong("no key");
  Server server(answer_always(ok_answer("known")), demanding());
  const ExchangeOptions first = with(client, key);
  EXPECT_ANSWER(exchange(https_url(server), first), "known");
  ExchangeOptions second = first;
  second.client_key = &wrong;
  EXPECT_FAULT(exchange(https_url(server), second), TransportFault::kSecretSource, false);
}

}  // namespace
}  // namespace credsync::test
