#include "daemon/oauth/response_reader.h"

#include <gtest/gtest.h>

#include "daemon/oauth/transport.h"

namespace credsync::oauth {
namespace {

struct Reading {
  bool done = false;
  std::optional<TransportFault> fault;
  HttpResponse response;
  bool keeps_alive = false;
};

// Feeds `bytes` in pieces of `piece`, and then the end of the stream.
Reading read(std::string_view bytes, std::size_t piece, std::string_view method = "POST", bool end = true) {
  ResponseReader reader(method);
  Reading reading;
  for (std::size_t at = 0; at < bytes.size() && !reading.fault; at += piece) {
    if (auto fed = reader.feed(bytes.substr(at, piece)); !fed) reading.fault = fed.error().fault;
  }
  reading.keeps_alive = reader.keeps_alive();
  if (!reading.fault && end) {
    if (auto ended = reader.end_of_stream(); !ended) reading.fault = ended.error().fault;
  }
  reading.done = reader.done();
  if (reading.done) reading.response = reader.take();
  return reading;
}

struct Case {
  std::string bytes;
  std::string body;
};

TEST(ResponseReader, ReadsWholeAnswersHoweverTheyAreCut) {
  const Case cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", "{}"},
      {"HTTP/1.1 200\r\nContent-Length:2\t\r\n\r\n{}", "{}"},
      {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", ""},
      {"HTTP/1.1 204 No Content\r\n\r\n", ""},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", ""},
      {"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", "{}"},
      {"HTTP/1.0 200 OK\r\n\r\n{}", "{}"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nX-Trailer: "
       "1\r\n\r\n",
       "{}"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00002 \r\n{}\r\n000\r\n\r\n", "{}"},
      {"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", "{}"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
       "2\r\n\r\n{}",
       "{}"},
  };
  for (const Case& c : cases) {
    for (std::size_t piece = 1; piece <= c.bytes.size(); ++piece) {
      SCOPED_TRACE(c.bytes + " in pieces of " + std::to_string(piece));
      const Reading reading = read(c.bytes, piece);
      EXPECT_TRUE(reading.done);
      EXPECT_FALSE(reading.fault);
      EXPECT_EQ(reading.response.body.text(), c.body);
    }
  }
}

TEST(ResponseReader, NoProperPrefixIsWhole) {
  const std::string answers[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
  };
  for (const std::string& answer : answers) {
    for (std::size_t size = 0; size < answer.size(); ++size) {
      const Reading reading = read(answer.substr(0, size), 4096);
      SCOPED_TRACE(answer.substr(0, size));
      EXPECT_FALSE(reading.done);
      EXPECT_EQ(reading.fault, TransportFault::kReset);
    }
  }
}

TEST(ResponseReader, RefusesWhatIsNotHttp) {
  const std::string cases[] = {
      "garbage\r\n\r\n",
      "<html>\n",
      "HTTP/2 200 OK\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 +20 OK\r\n\r\n",
      "HTTP/1.1 600 OK\r\n\r\n",
      "HTTP/1.1 099 OK\r\n\r\n",
      "HTTP/1.1  200 OK\r\n\r\n",
      "http/1.1 200 OK\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\n\r\n",
      "HTTP/1.1 200 O\x01K\r\n\r\n",
      "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
      "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
      "HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
      "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
      "HTTP/1.1 200 OK\r\n folded first\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
      std::string("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", 27),
      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(300, '0'),
  };
  for (const std::string& bytes : cases) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
      SCOPED_TRACE(bytes + " in pieces of " + std::to_string(piece));
      EXPECT_EQ(read(bytes, piece).fault, TransportFault::kProtocol);
    }
  }
}

TEST(ResponseReader, RefusesWhatIsTooLarge) {
  std::string many = "HTTP/1.1 200 OK\r\n";
  for (std::size_t i = 0; i <= kMaxHeaderFields; ++i)
    many += "X: y\r\n";
  std::string continues;
  while (continues.size() <= kMaxHeaderBytes)
    continues += "HTTP/1.1 100 Continue\r\n\r\n";
  std::string crumbs = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  while (crumbs.size() <= 2 * kMaxChunkFraming)
    crumbs += "1;" + std::string(100, 'x') + "\r\nx\r\n";
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string cases[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kMaxAnswerBytes + 1) + "\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\n" + std::string(kMaxAnswerBytes + 1, 'x'),
      chunked + "10001\r\n",
      chunked + "10000\r\n" + std::string(kMaxAnswerBytes, 'x') + "\r\n1\r\nx",
      chunked + "0\r\n" + std::string(kMaxHeaderBytes, 'x'),
      "HTTP/1.1 200 " + std::string(kMaxHeaderBytes, 'x'),
      "HTTP/1.1 200 OK\r\nX: " + std::string(kMaxHeaderBytes, 'x'),
      many,
      continues,
      crumbs,
  };
  for (const std::string& bytes : cases) {
    SCOPED_TRACE(bytes.substr(0, 80));
    EXPECT_EQ(read(bytes, 1000).fault, TransportFault::kTooLarge);
    EXPECT_EQ(read(bytes, bytes.size()).fault, TransportFault::kTooLarge);
  }
}

TEST(ResponseReader, EveryByteAsItsOwnChunkFitsTheLimits) {
  std::string bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t i = 0; i < kMaxAnswerBytes; ++i)
    bytes += "1\r\nx\r\n";
  bytes += "0\r\n\r\n";
  EXPECT_TRUE(read(bytes, 4096).done);
}

TEST(ResponseReader, HeadersComeInOrderAndFoldedLinesAreJoined) {
  const Reading reading =
      read("HTTP/1.1 200 OK\r\nA: 1\r\nb:  two \r\n\t more\r\nA: 3\r\nContent-Length: 0\r\n\r\n", 5);
  ASSERT_TRUE(reading.done);
  ASSERT_EQ(reading.response.headers.size(), 4u);
  EXPECT_EQ(reading.response.headers[0].value, "1");
  EXPECT_EQ(reading.response.headers[1].name, "b");
  EXPECT_EQ(reading.response.headers[1].value, "two more");
  EXPECT_EQ(reading.response.headers[2].value, "3");
}

TEST(ResponseReader, InterimHeadersAreNotTheAnswers) {
  const Reading reading =
      read("HTTP/1.1 103 Early Hints\r\nX: early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 9);
  ASSERT_TRUE(reading.done);
  EXPECT_EQ(reading.response.headers.size(), 1u);
}

TEST(ResponseReader, AnswersToHeadAndConnectHaveNoBody) {
  for (const char* method : {"HEAD", "CONNECT"}) {
    EXPECT_TRUE(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 4096, method, false).done);
  }
}

TEST(ResponseReader, KnowsWhenAConnectionMayGoOn) {
  const auto keeps = [](const char* bytes) { return read(bytes, 4096, "POST", false).keeps_alive; };
  EXPECT_TRUE(keeps("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_TRUE(keeps("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
  EXPECT_TRUE(keeps("HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive, close\r\n\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx"));
  EXPECT_FALSE(keeps("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.1 200 OK\r\n\r\n"));
  EXPECT_FALSE(keeps("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"));
}

}  // namespace
}  // namespace credsync::oauth
