// The small parts of the front door: targets, times, buffers, readers, deadlines, the rendering of a token.
#include <gtest/gtest.h>
#include <systemd/sd-event.h>

#include <nlohmann/json.hpp>

#include "ipc/http/deadlines.h"
#include "ipc/http/json_writer.h"
#include "ipc/http/limits.h"
#include "ipc/http/request_reader.h"
#include "ipc/http/target.h"
#include "ipc/http/token_response.h"

namespace credsync::ipc::http {
namespace {

TEST(TargetTest, TakesPathAndQueryApart) {
  const auto target = parse_target("/a/b%20c?x=1&y=%2b+&z=");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/a/b%20c");
  const std::vector<std::pair<std::string, std::string>> query{{"x", "1"}, {"y", "++"}, {"z", ""}};
  EXPECT_EQ(target->query, query);
  EXPECT_TRUE(parse_target("/a?")->query.empty());
  EXPECT_EQ(parse_target("/a?x=1=2")->query[0].second, "1=2");
  EXPECT_EQ(parse_target("/a?x")->query[0].second, "");
  EXPECT_EQ(parse_target("/a?x=/?")->query[0].second, "/?");
}

TEST(TargetTest, ReadsMoments) {
  const struct {
    std::string_view text;
    std::optional<std::int64_t> seconds;
  } moments[] = {{"0", 0},
                 {"1800000000", 1800000000},
                 {"253402300799", 253402300799},
                 {"253402300800", {}},
                 {"2027-01-15T08:00:00Z", 1800000000},
                 {"2027-01-15t08:00:00z", 1800000000},
                 {"2027-01-15 08:00:00Z", 1800000000},
                 {"2027-01-15T08:00:00.999999999Z", 1800000000},
                 {"2027-01-15T10:30:00+02:30", 1800000000},
                 {"2027-01-14T20:00:00-12:00", 1800000000},
                 {"2028-02-29T00:00:00Z", 1835395200},
                 {"1970-01-01T00:00:00+01:00", 0},
                 {"2016-12-31T23:59:60Z", 1483228800},
                 {"9999-12-31T23:59:59-23:59", 253402300799},
                 {"", {}},
                 {"-1", {}},
                 {"+1", {}},
                 {"1.5", {}},
                 {"1e9", {}},
                 {" 1", {}},
                 {"2027-01-15", {}},
                 {"2027-01-15T08:00Z", {}},
                 {"2027-01-15T08:00:00", {}},
                 {"2027-1-15T08:00:00Z", {}},
                 {"2027-13-15T08:00:00Z", {}},
                 {"2027-02-29T00:00:00Z", {}},
                 {"2027-01-15T24:00:00Z", {}},
                 {"2027-01-15T08:60:00Z", {}},
                 {"2027-01-15T08:00:61Z", {}},
                 {"2027-01-15T08:00:00.Z", {}},
                 {"2027-01-15T08:00:00+24:00", {}},
                 {"2027-01-15T08:00:00+0100", {}},
                 {"2027-01-15T08:00:00Zx", {}}};
  for (const auto& [text, seconds] : moments) {
    const auto moment = parse_moment(text);
    ASSERT_EQ(moment.has_value(), seconds.has_value()) << text;
    EXPECT_EQ(moment ? unix_seconds(*moment) : 0, seconds.value_or(0)) << text;
  }
}

TEST(WipedBufferTest, KeepsItsBytesInOrderWhateverLeaves) {
  WipedBuffer buffer;
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string more(static_cast<std::size_t>(i % 37), static_cast<char>('a' + i % 26));
    buffer.append(more);
    expected += more;
    const std::size_t taken = std::min(expected.size(), static_cast<std::size_t>(i % 29));
    buffer.consume(taken);
    expected.erase(0, taken);
    ASSERT_EQ(buffer.view(), expected);
  }
  buffer.truncate(3);
  EXPECT_EQ(buffer.view(), expected.substr(0, 3));
  buffer.release();
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.capacity(), 0U);
}

TEST(WipedBufferTest, LeavesNothingBehind) {
  WipedBuffer buffer;
  buffer.reserve(4096);
  buffer.append("secret-1secret-2");
  const char* const bytes = buffer.view().data();  // they stay there: the buffer does not grow
  buffer.consume(8);
  EXPECT_EQ(std::string_view(bytes, 8), std::string_view("\0\0\0\0\0\0\0\0", 8));
  buffer.clear();
  EXPECT_EQ(std::string_view(bytes, 16), std::string(16, '\0'));
}

TEST(WipedBufferTest, AFrontThatWasTakenGivesItsRoomBack) {
  WipedBuffer buffer;
  for (int i = 0; i < 10'000; ++i) {
    buffer.append(std::string(100, 'x'));
    buffer.consume(buffer.size() > 150 ? 100 : 0);
  }
  EXPECT_LT(buffer.capacity(), 64U * 1024);
}

TEST(JsonWriterTest, PutsCommasWhereTheyBelong) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.text("a", "ends in {");
  json.number("b", 18446744073709551615U);
  json.begin_array("c");
  json.begin_object();
  json.end_object();
  json.begin_object();
  json.flag("d", false);
  json.end_object();
  json.text("[");
  json.text(":");
  json.end_array();
  json.seconds("e", 1999ms);
  json.seconds("f", std::nullopt);
  json.time("g", wall_from_seconds(0));
  json.texts("h", {});
  json.text_or_nothing("i", "");
  json.end_object();
  EXPECT_EQ(out, R"({"a":"ends in {","b":18446744073709551615,"c":[{},{"d":false},"[",":"],"e":1,"f":null,)"
                 R"("g":"1970-01-01T00:00:00Z","h":[],"i":null})");
}

TEST(RequestReaderTest, IsReadyForTheNextRequestAfterReset) {
  RequestReader reader;
  const std::string first = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
  const std::string bytes = first + "GET /b HTTP/1.0\r\n\r\n";
  EXPECT_EQ(reader.feed(bytes), first.size());
  ASSERT_EQ(reader.state(), RequestReader::State::kWhole);
  EXPECT_EQ(reader.request().body, "abc");
  EXPECT_TRUE(reader.request().keep_alive);
  reader.reset();
  EXPECT_EQ(reader.feed(bytes.substr(first.size())), bytes.size() - first.size());
  ASSERT_EQ(reader.state(), RequestReader::State::kWhole);
  EXPECT_EQ(reader.request().target, "/b");
  EXPECT_EQ(reader.request().body, "");
  EXPECT_FALSE(reader.request().http_1_1);
  EXPECT_FALSE(reader.request().keep_alive);
}

TEST(RequestReaderTest, HowTheBytesAreCutMakesNoDifference) {
  const std::string bytes =
      "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n4;x=\"y\"\r\ndefg\r\n0\r\n\r\n";
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    RequestReader reader;
    std::size_t used = reader.feed(bytes.substr(0, cut));
    ASSERT_EQ(reader.state(), RequestReader::State::kPartial) << cut;
    used += reader.feed(std::string_view(bytes).substr(used));
    ASSERT_EQ(reader.state(), RequestReader::State::kWhole) << cut;
    EXPECT_EQ(used, bytes.size());
    EXPECT_EQ(reader.request().body, "abcdefg");
  }
}

TEST(DeadlinesTest, CallsWhatIsDueOnceAndInOrder) {
  struct Noted final : Timed {
    void on_deadline() override { calls->push_back(name); }
    std::vector<int>* calls;
    int name;
  };
  auto loop = Loop::create();
  ASSERT_TRUE(loop);
  Deadlines deadlines(**loop, [] {});
  std::vector<int> calls;
  Noted noted[4];
  for (int i = 0; i < 4; ++i)
    noted[i].calls = &calls, noted[i].name = i;
  const BootTime zero{};
  deadlines.set(noted[0], zero + 30s);
  deadlines.set(noted[1], zero + 20s);
  deadlines.set(noted[2], zero + 10s);
  deadlines.set(noted[3], zero + 5s);
  deadlines.set(noted[0], zero + 15s);
  deadlines.clear(noted[3]);
  deadlines.run_due(zero + 15s);
  EXPECT_EQ(calls, (std::vector{2, 0}));
  deadlines.run_due(zero + 20s);
  deadlines.run_due(zero + 100s);
  EXPECT_EQ(calls, (std::vector{2, 0, 1}));
}

TEST(DeadlinesTest, TheTimerIsArmedForTheNearestOnly) {
  struct Never final : Timed {
    void on_deadline() override {}
  } first, second;
  auto loop = Loop::create();
  ASSERT_TRUE(loop);
  const SystemClock clock;
  int fired = 0;
  Deadlines deadlines(**loop, [&] { ++fired; });
  deadlines.set(first, clock.boot() + 1h);
  deadlines.set(second, clock.boot() + 20ms);
  deadlines.arm();
  deadlines.clear(second);
  deadlines.arm();
  EXPECT_EQ(::sd_event_run((*loop)->native(), 100'000), 0) << "a deadline that was cleared wakes nobody";
  deadlines.set(second, clock.boot() + 20ms);
  deadlines.arm();
  while (fired == 0)
    ASSERT_GE(::sd_event_run((*loop)->native(), 5'000'000), 0);
  EXPECT_EQ(fired, 1);
  deadlines.clear(first);
}

TEST(LimitsValueTest, FollowFromTheOneNumberAnAdminSets) {
  const Limits limits = Limits::per_user(64);
  EXPECT_EQ(limits.max_connections_per_user, 64U);
  EXPECT_EQ(limits.max_waiting_per_user, 64U);
  EXPECT_EQ(limits.max_streams_per_user, 16U);
  EXPECT_EQ(limits.max_connections, 4096U);
  EXPECT_EQ(Limits::per_user(1).max_streams_per_user, 1U);
  EXPECT_EQ(Limits::per_user(2000).max_connections, 128'000U);
}

// Whatever a token holds, the answer is JSON, whole, and as long as it says.
TEST(TokenResponseTest, IsAsLongAsItSays) {
  std::string nasty;
  for (int c = 0; c < 256; ++c)
    nasty += static_cast<char>(c);
  for (const std::string& token : {std::string(), std::string("t"), nasty, std::string(20'000, '\x01')}) {
    const std::vector<std::string> scope(200, nasty);
    const std::vector<std::pair<std::string, std::string>> extra{{nasty, token}};
    Secret memo;
    TokenView view;
    view.account = "a";
    view.access_token = token;
    view.token_type = view.header_name = view.header_prefix = nasty;
    view.scope = &scope;
    view.extra = &extra;
    view.state = "ok";
    view.expires_in = days(36'000);
    view.memo = &memo;
    WipedBuffer fresh, kept;
    write_token(fresh, Framing{}, view);
    write_token(kept, Framing{}, view);
    EXPECT_EQ(fresh.view(), kept.view());
    const std::size_t end = fresh.view().find("\r\n\r\n") + 4;
    const std::size_t field = fresh.view().find("Content-Length: ") + 16;
    EXPECT_EQ(std::stoul(std::string(fresh.view().substr(field, 10))), fresh.size() - end);
    EXPECT_FALSE(nlohmann::json::parse(fresh.view().substr(end), nullptr, false).is_discarded());
  }
}

}  // namespace
}  // namespace credsync::ipc::http
