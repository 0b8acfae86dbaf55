// Random requests and random clients, from fixed seeds: nothing may crash, hang or leak, and how bytes are
// cut must make no difference.
#include <algorithm>
#include <array>
#include <random>

#include "ipc/http/request_reader.h"
#include "ipc/http/routes.h"
#include "tests/unit/ipc/http_harness.h"

namespace credsync::ipc::http {
namespace {

using Chance = std::mt19937;

std::size_t below(Chance& chance, std::size_t bound) {
  return std::uniform_int_distribution<std::size_t>(0, bound - 1)(chance);
}

constexpr std::array<std::string_view, 30> kPieces{"GET ",
                                                   "POST ",
                                                   "DELETE ",
                                                   "HEAD ",
                                                   "/v1/accounts/a/token",
                                                   "/v1/accounts",
                                                   "/v1/accounts/a/reject",
                                                   "http://x",
                                                   "?wait=1",
                                                   "&min_valid=60",
                                                   "%2e",
                                                   "%",
                                                   "#",
                                                   " HTTP/1.1\r\n",
                                                   " HTTP/1.0\r\n",
                                                   "Host: x\r\n",
                                                   "Content-Length: 16\r\n",
                                                   "Content-Length: 4\r\n",
                                                   "Transfer-Encoding: chunked\r\n",
                                                   "Expect: 100-continue\r\n",
                                                   "Connection: close\r\n",
                                                   "\r\n",
                                                   "\n",
                                                   " ",
                                                   "{\"generation\":7}",
                                                   "{\"access_token\":\"\\u00e9\"}",
                                                   "4\r\nabcd\r\n",
                                                   "0\r\n\r\n",
                                                   "\r\n folded",
                                                   "A: b\r\n"};

std::string random_request(Chance& chance) {
  std::string bytes;
  if (below(chance, 3) != 0) bytes = request("POST", "/v1/accounts/a/reject", R"({"generation":7})");
  for (std::size_t left = below(chance, 8); left != 0; --left) {
    bytes.insert(bytes.empty() ? 0 : below(chance, bytes.size()), kPieces[below(chance, kPieces.size())]);
  }
  for (std::size_t left = below(chance, 3); left != 0 && !bytes.empty(); --left) {
    bytes[below(chance, bytes.size())] = static_cast<char>(below(chance, 256));
  }
  return bytes;
}

struct Verdict {
  RequestReader::State state{};
  std::string text;
  std::size_t used = 0;
  bool operator==(const Verdict&) const = default;
};

Verdict read_in_pieces(const std::string& bytes, std::size_t piece) {
  RequestReader reader;
  std::size_t used = 0;
  for (std::size_t have = 0; have < bytes.size() && reader.state() == RequestReader::State::kPartial;) {
    have = std::min(bytes.size(), have + piece);
    const std::string copy = bytes.substr(used, have - used);  // its own memory, so that a sanitizer sees each overrun
    if (!copy.empty()) used += reader.feed(copy);
  }
  Verdict verdict{reader.state(), {}, 0};
  if (reader.state() != RequestReader::State::kWhole) return verdict;
  const Request& request = reader.request();
  verdict.used = used;
  verdict.text.append(request.method).append(" ").append(request.target).append(" ").append(request.body);
  const auto understood = understand(request);
  if (const Refusal* refusal = std::get_if<Refusal>(&understood))
    verdict.text += " refused: " + refusal->problem.detail;
  return verdict;
}

TEST(StormTest, HowBytesAreCutMakesNoDifference) {
  Chance chance(20260101);
  std::size_t whole = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string bytes = random_request(chance);
    const Verdict at_once = read_in_pieces(bytes, bytes.size() + 1);
    whole += at_once.state == RequestReader::State::kWhole ? 1 : 0;
    for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, 1 + below(chance, 40)}) {
      const Verdict in_pieces = read_in_pieces(bytes, piece);
      // Bytes at once may be refused for what stands far behind; in pieces the same refusal may still be to
      // come.
      const bool still_to_come =
          in_pieces.state == RequestReader::State::kPartial && at_once.state == RequestReader::State::kRefused;
      ASSERT_TRUE(still_to_come || in_pieces == at_once) << bytes;
    }
  }
  EXPECT_GT(whole, 300U) << "the storm must reach what lies behind the parser";
}

class ClientStormTest : public HttpTest {};

TEST_F(ClientStormTest, ManyClientsOfAllKindsLeaveNothingBehind) {
  Chance chance(7);
  for (const std::string name : {"a", "slow", "other"})
    service_.add(name);
  service_.account("slow").waits = true;
  start(Limits{40, 10, 5, 30}, Timing{.request = 50ms, .answer = 50ms, .linger = 10ms});
  const std::array<std::string, 7> good{request("GET", "/v1/accounts/a/token"),
                                        request("GET", "/v1/accounts/slow/token"),
                                        request("GET", "/v1/accounts"),
                                        request("GET", "/v1/events"),
                                        request("POST", "/v1/accounts/slow/refresh"),
                                        request("GET", "/nothing"),
                                        request("GET", "/v1/health", {}, "Connection: close\r\n")};
  std::vector<Client> clients;
  for (int step = 0; step < 6000; ++step) {
    if (clients.size() < 50 && below(chance, 3) == 0) clients.push_back(connect());
    if (clients.empty()) continue;
    const std::size_t which = below(chance, clients.size());
    Client& client = clients[which];
    switch (below(chance, 9)) {
      case 0: client.send_some(random_request(chance)); break;
      case 1: client.shut_writing(); break;
      case 2: clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(which)); break;
      case 3: client.read_available(); break;
      case 4: service_.emit({Event::Kind::kToken, "a", "ok", wall_from_seconds(1), 8, std::nullopt}); break;
      case 5:
        service_.answer_waiting();
        service_.account("slow").waits = below(chance, 2) == 0;
        break;
      default: client.send_some(good[below(chance, good.size())]);
    }
    settle();
    ASSERT_LE(server_->counts().connections, 30U + 8U);
    ASSERT_EQ(server_->counts().waiting, service_.waiting());
    ASSERT_EQ(server_->counts().streams, service_.streams());
    if (step % 500 == 0) service_.asked.clear(), service_.refusals.clear();
  }
  clients.clear();
  EXPECT_TRUE(until([&] { return server_->counts().connections == 0; }));
  EXPECT_EQ(server_->counts().users, 0U);
  EXPECT_EQ(service_.waiting(), 0U);
  EXPECT_EQ(service_.streams(), 0U);
  EXPECT_EQ(get("/v1/health").status, 200);
}

TEST_F(ClientStormTest, AStopInTheMiddleOfAStormIsOrderly) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    Chance chance(seed);
    service_.add("slow").waits = true;
    service_.add("a");
    server_.reset();
    start(generous(), Timing{.request = 5s, .answer = 60s, .linger = 10ms});
    std::vector<Client> clients;
    for (int i = 0; i < 30; ++i) {
      Client& client = clients.emplace_back(connect());
      const std::string name = below(chance, 2) == 0 ? "slow" : "a";
      std::string bytes =
          below(chance, 4) == 0 ? request("GET", "/v1/events") : request("GET", "/v1/accounts/" + name + "/token");
      if (below(chance, 4) == 0) bytes += request("GET", "/v1/accounts");
      if (below(chance, 4) == 0) bytes.resize(below(chance, bytes.size()));
      client.send_some(bytes);
      if (below(chance, 3) == 0) settle();
    }
    bool stopped = false;
    server_->stop(100ms, [&] { stopped = true; });
    ASSERT_TRUE(until([&] {
      for (Client& client : clients)
        client.read_available();
      return stopped;
    }));
    EXPECT_EQ(server_->counts().connections, 0U);
    EXPECT_EQ(service_.waiting() + service_.streams(), 0U);
  }
}

}  // namespace
}  // namespace credsync::ipc::http
