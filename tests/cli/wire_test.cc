// The readers of HTTP answers and events, cut at every byte and fed what a hostile peer might send.
#include <gtest/gtest.h>

#include "cli/event_reader.h"
#include "cli/http_response.h"

namespace credsync::cli {
namespace {

constexpr std::size_t kRoom = 1000;

struct Got {
  bool good = false;
  int status = 0;
  std::string body;
};

// Feeds `text` in pieces of `size` bytes, then the end of the connection.
Got read_response(std::string_view text, std::size_t size) {
  ResponseReader reader(kRoom);
  Got got;
  for (std::size_t at = 0; at < text.size() && !reader.complete(); at += size) {
    if (!reader.feed(text.substr(at, size))) return got;
  }
  got.good = reader.end().has_value();
  got.status = reader.status();
  got.body = reader.take_body();
  return got;
}

struct Case {
  const char* name;
  std::string text;
  bool good;
  std::string body;
};

const Case kCases[] = {
    {"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, "hello"},
    {"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", true, ""},
    {"until the end", "HTTP/1.0 200 OK\r\n\r\nall of it", true, "all of it"},
    {"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
     true, "abc0123456789"},
    {"trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\nZ: z\r\n\r\n", true, ""},
    {"interim", "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true, "ok"},
    {"no content", "HTTP/1.1 204 No Content\r\n\r\n", true, ""},
    {"spaces around", "HTTP/1.1 200 OK\r\nContent-Length: \t 2 \r\n\r\nok", true, "ok"},
    {"empty", "", false, ""},
    {"no version", "ICY 200 OK\r\n\r\n", false, ""},
    {"HTTP/2", "HTTP/2 200 OK\r\n\r\n", false, ""},
    {"letters in the status", "HTTP/1.1 2x0 OK\r\n\r\n", false, ""},
    {"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", false, ""},
    {"status below 100", "HTTP/1.1 099 OK\r\n\r\n", false, ""},
    {"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", false, ""},
    {"folded header", "HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\n\r\n", false, ""},
    {"space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", false, ""},
    {"header without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", false, ""},
    {"header without a name", "HTTP/1.1 200 OK\r\n: x\r\n\r\n", false, ""},
    {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", false, ""},
    {"length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false,
     ""},
    {"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", false, ""},
    {"length with a plus", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", false, ""},
    {"length in hex", "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok", false, ""},
    {"length too large", "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", false, ""},
    {"length beyond 64 bits", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", false, ""},
    {"chunk too large", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x'), false,
     ""},
    {"chunk beyond 64 bits", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n", false, ""},
    {"chunk of no size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", false, ""},
    {"chunk longer than said", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", false, ""},
    {"body cut", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", false, ""},
    {"chunks cut", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false, ""},
    {"trailer cut", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n", false, ""},
    {"gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false, ""},
};

TEST(CliResponseReader, ReadsTheSameHoweverTheBytesAreCut) {
  for (const Case& c : kCases) {
    for (std::size_t size = 1; size <= c.text.size() + 1; ++size) {
      const Got got = read_response(c.text, size);
      EXPECT_EQ(got.good, c.good) << c.name << ", in pieces of " << size;
      if (got.good) {
        EXPECT_EQ(got.body, c.body) << c.name << ", in pieces of " << size;
      }
    }
  }
}

TEST(CliResponseReader, ALineAtTheBoundIsTheSameHoweverItIsCut) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::size_t line : {255u, 256u, 257u}) {
    const std::string text = head + "1;" + std::string(line - 2, 'x') + "\r\na\r\n0\r\n\r\n";
    for (const std::size_t size : {std::size_t{1}, head.size() + line + 1, text.size()})
      EXPECT_EQ(read_response(text, size).good, line <= 256) << line << ", in pieces of " << size;
  }
  for (const std::size_t length : {16384u, 16385u}) {  // without the empty line that ends it
    std::string text = "HTTP/1.1 204 No Content\r\nX: ";
    text += std::string(length - text.size(), 'y') + "\r\n\r\n";
    for (const std::size_t size : {std::size_t{1}, text.size() - 1, text.size()})
      EXPECT_EQ(read_response(text, size).good, length == 16384) << length << ", in pieces of " << size;
  }
}

TEST(CliResponseReader, IgnoresWhatFollowsAnAnswer) {
  ResponseReader reader(kRoom);
  ASSERT_TRUE(reader.feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 X\r\n\r\n"));
  EXPECT_TRUE(reader.complete());
  EXPECT_EQ(reader.status(), 200);
  EXPECT_EQ(reader.take_body(), "ok");
}

TEST(CliResponseReader, BoundsAHeaderThatNeverEnds) {
  ResponseReader reader(kRoom);
  ASSERT_TRUE(reader.feed("HTTP/1.1 200 OK\r\n"));
  std::size_t fed = 0;
  while (reader.feed("X-Header: value\r\n"))
    ASSERT_LT(++fed, 10000u);
}

TEST(CliResponseReader, BoundsATrailerLineThatNeverEnds) {
  ResponseReader reader(kRoom);
  ASSERT_TRUE(reader.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"));
  std::size_t fed = 0;
  while (reader.feed("xxxxxxxxxxxxxxxx"))
    ASSERT_LT(++fed, 10000u);
}

TEST(CliResponseReader, BoundsATrailerOfManyLines) {
  ResponseReader reader(kRoom);
  ASSERT_TRUE(reader.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"));
  std::size_t fed = 0;
  while (reader.feed("X: y\r\n"))
    ASSERT_LT(++fed, 100000u);
}

TEST(CliResponseReader, BoundsInterimAnswers) {
  ResponseReader reader(kRoom);
  std::size_t fed = 0;
  while (reader.feed("HTTP/1.1 100 Continue\r\n\r\n"))
    ASSERT_LT(++fed, 100000u);
}

TEST(CliResponseReader, AStreamIsBoundedByWhatLiesUntakenOnly) {
  ResponseReader reader(kRoom);
  ASSERT_TRUE(reader.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(reader.feed("a\r\n0123456789\r\n"));
    EXPECT_EQ(reader.take_body(), "0123456789");
  }
}

std::vector<Event> read_events(std::string_view text, std::size_t size) {
  EventReader reader;
  std::vector<Event> all;
  for (std::size_t at = 0; at < text.size(); at += size) {
    const auto events = reader.feed(text.substr(at, size));
    EXPECT_TRUE(events.has_value());
    if (events) all.insert(all.end(), events->begin(), events->end());
  }
  return all;
}

TEST(CliEventReader, ReadsTheSameHoweverTheBytesAreCut) {
  const std::string text =
      ": heartbeat\n\nevent: state\ndata: {\"a\":1}\n\nevent:token\r\ndata:1\r\ndata: 2\r\nid: "
      "7\r\n\r\nevent: empty\n\ndata\n\ndata: last\n\ndata: cut";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    const auto events = read_events(text, size);
    ASSERT_EQ(events.size(), 3u) << size;
    EXPECT_EQ(events[0].name, "state");
    EXPECT_EQ(events[0].data, "{\"a\":1}");
    EXPECT_EQ(events[1].name, "token");
    EXPECT_EQ(events[1].data, "1\n2");
    EXPECT_EQ(events[2].data, "last");
  }
}

TEST(CliEventReader, BoundsAnEventThatNeverEnds) {
  for (const std::string& piece :
       {std::string(1000, 'x'), "data: " + std::string(1000, 'x') + "\n", std::string("event: x\n")}) {
    EventReader reader;
    std::size_t fed = 0;
    while (fed < 2000 && reader.feed(piece))
      ++fed;
    if (piece.starts_with("event")) {
      EXPECT_EQ(fed, 2000u);  // replaces itself: holds no memory
    } else {
      EXPECT_LT(fed, 100u);
    }
  }
}

TEST(CliEventReader, AnEventThatIsTooLongIsNoneHoweverItIsCut) {
  constexpr std::size_t kMost = 64 * 1024;
  const std::string line = "data: " + std::string(kMost - 6, 'x') + "\n";
  const std::string too_long = "data: " + std::string(kMost - 5, 'x') + "\n";
  const std::string two = "data: " + std::string(kMost / 2, 'x') + "\ndata: " + std::string(kMost / 2, 'y') + "\n";
  for (const std::size_t size : {std::size_t{1000}, std::size_t{4 * kMost}}) {
    const auto read = [&](std::string_view text) {
      EventReader reader;
      for (std::size_t at = 0; at < text.size(); at += size) {
        if (!reader.feed(text.substr(at, size))) return false;
      }
      return true;
    };
    EXPECT_TRUE(read(line + "\n" + line + "\n")) << size;
    EXPECT_FALSE(read(too_long + "\n")) << size;
    EXPECT_FALSE(read(two + "\n")) << size;
  }
}

}  // namespace
}  // namespace credsync::cli
