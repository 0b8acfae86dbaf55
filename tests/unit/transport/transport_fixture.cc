#include "tests/unit/transport/transport_fixture.h"

#include <unistd.h>

#include <fstream>

namespace credsync::test {

Result<std::vector<oauth::Address>> loopback_only(const std::string&, std::uint16_t port) {
  return std::vector<oauth::Address>{*oauth::literal_address("127.0.0.1", port)};
}

TransportTest::TransportTest() {
  std::string pattern = (std::filesystem::temp_directory_path() / "credsync-transport-XXXXXX").string();
  folder_ = ::mkdtemp(pattern.data());
  authority_ = make_identity({.common_name = "Test Authority", .alt_names = "", .authority = true});
  good_ = make_identity({.common_name = "server", .alt_names = "DNS:provider.test"}, &authority_);
  ca_file_ = write_file("ca.pem", authority_.certificate_pem());
}

TransportTest::~TransportTest() {
  std::filesystem::remove_all(folder_);
}

std::string TransportTest::write_file(const std::string& name, const std::string& content) {
  const auto path = folder_ / name;
  std::ofstream(path) << content;
  return path.string();
}

HttpRequest TransportTest::post(const std::string& url, const std::string& body) {
  HttpRequest request;
  request.url = url;
  request.headers.push_back({"Content-Type", "application/x-www-form-urlencoded"});
  request.body = WipedString(body);
  return request;
}

std::string TransportTest::https_url(const Server& server, const std::string& path) {
  return "https://" + std::string(kHost) + ":" + std::to_string(server.port()) + path;
}

std::string TransportTest::http_url(const Server& server, const std::string& path) {
  return "http://127.0.0.1:" + std::to_string(server.port()) + path;
}

ExchangeOptions TransportTest::options() const {
  ExchangeOptions result;
  result.deadline = 20s;
  result.ca_file = ca_file_;
  result.allow_http_loopback = true;
  return result;
}

ExchangeOptions TransportTest::hurried() const {
  ExchangeOptions result = options();
  result.deadline = kShort;
  return result;
}

ExchangeOutcome TransportTest::exchange(const std::string& url, const ExchangeOptions& options,
                                        const std::string& body) {
  return transport_.exchange(post(url, body), options);
}

const HttpResponse* answer_of(const ExchangeOutcome& outcome) {
  const auto* answer = std::get_if<HttpResponse>(&outcome);
  if (answer == nullptr) ADD_FAILURE() << "no answer: " << std::get<TransportError>(outcome).words;
  return answer;
}

const TransportError* error_of(const ExchangeOutcome& outcome) {
  const auto* error = std::get_if<TransportError>(&outcome);
  if (error == nullptr) ADD_FAILURE() << "an answer: " << std::get<HttpResponse>(outcome).status;
  return error;
}

}  // namespace credsync::test
