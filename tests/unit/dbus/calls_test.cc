// What the methods take and give.
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <map>

#include "ipc/dbus/options.h"
#include "tests/unit/dbus/bus_harness.h"

namespace credsync::ipc::dbus {
namespace {

// An a{sv} as "signature value", for those of one basic type; others as their signature alone.
std::map<std::string, std::string> read_dictionary(sd_bus_message* message) {
  std::map<std::string, std::string> read;
  if (::sd_bus_message_enter_container(message, 'a', "{sv}") <= 0) return read;
  while (::sd_bus_message_enter_container(message, 'e', "sv") > 0) {
    const char *key = nullptr, *contents = nullptr;
    ::sd_bus_message_read_basic(message, 's', &key);
    ::sd_bus_message_peek_type(message, nullptr, &contents);
    const std::string signature(contents);
    ::sd_bus_message_enter_container(message, 'v', contents);
    std::string& value = read[key] = signature;
    if (signature == "s") {
      const char* text = nullptr;
      ::sd_bus_message_read_basic(message, 's', &text);
      value += std::string(" ") + text;
    } else if (signature == "t") {
      std::uint64_t number = 0;
      ::sd_bus_message_read_basic(message, 't', &number);
      value += " " + std::to_string(number);
    } else if (signature == "b" || signature == "u") {
      std::uint32_t number = 0;
      ::sd_bus_message_read_basic(message, signature.front(), &number);
      value += " " + std::to_string(number);
    } else {
      ::sd_bus_message_skip(message, signature.c_str());
    }
    ::sd_bus_message_exit_container(message);
    ::sd_bus_message_exit_container(message);
  }
  ::sd_bus_message_exit_container(message);
  return read;
}

class BusCallsTest : public BusTest {};

TEST_F(BusCallsTest, HandsOutATokenWithWhatTheHttpAnswerHas) {
  auto& account = service_.add("flat");
  account.extra = {{"instance_url", "https://a.example"}};
  auto client = connect();
  const Outcome outcome = token(*client, "flat");
  ASSERT_TRUE(outcome.ok()) << outcome.message();
  const char* value = nullptr;
  std::uint64_t expires = 0;
  ASSERT_GT(::sd_bus_message_read(outcome.body(), "st", &value, &expires), 0);
  EXPECT_STREQ(value, "token-of-an-account");
  EXPECT_EQ(expires, 1'900'000'000'000'000U);
  const auto details = read_dictionary(outcome.body());
  const std::map<std::string, std::string> wanted{
      {"account", "s flat"},    {"token_type", "s Bearer"},
      {"expires_in", "t 3600"}, {"scope", "as"},
      {"generation", "t 7"},    {"min_valid_met", "b 1"},
      {"state", "s ok"},        {"header_name", "s Authorization"},
      {"extra", "a{ss}"},       {"header_value", "s Bearer token-of-an-account"},
  };
  EXPECT_EQ(details, wanted);
  ASSERT_EQ(service_.asked.size(), 1U);
  EXPECT_EQ(service_.asked[0].caller.uid, ::getuid());
  EXPECT_EQ(service_.asked[0].caller.pid, ::getpid());
  EXPECT_EQ(service_.asked[0].wait, 10s);
  EXPECT_EQ(service_.asked[0].min_valid, 0s);
}

TEST_F(BusCallsTest, SaysZeroWhereTheEndIsNotKnown) {
  auto& account = service_.add("flat");
  account.expires_at.reset();
  account.expires_in.reset();
  auto client = connect();
  const Outcome outcome = token(*client, "flat");
  const char* value = nullptr;
  std::uint64_t expires = 1;
  ASSERT_GT(::sd_bus_message_read(outcome.body(), "st", &value, &expires), 0) << outcome.message();
  EXPECT_EQ(expires, 0U);
  EXPECT_EQ(read_dictionary(outcome.body()).count("expires_in"), 0U);
}

TEST_F(BusCallsTest, TakesEveryKindOfIntegerForSeconds) {
  service_.add("flat");
  auto client = connect();
  struct Given {
    const char* signature;
    std::uint64_t value;
  };
  for (const Given& given : {Given{"u", 30}, {"t", 30}, {"x", 30}, {"i", 30}, {"q", 30}, {"n", 30}, {"y", 30}}) {
    service_.asked.clear();
    const Outcome outcome = call(*client, "GetAccessToken", [&](sd_bus_message* message) {
      ::sd_bus_message_append(message, "s", "flat");
      ::sd_bus_message_open_container(message, 'a', "{sv}");
      ::sd_bus_message_open_container(message, 'e', "sv");
      ::sd_bus_message_append(message, "s", "min_valid");
      ::sd_bus_message_open_container(message, 'v', given.signature);
      ::sd_bus_message_append_basic(message, given.signature[0], &given.value);
      ::sd_bus_message_close_container(message);
      ::sd_bus_message_close_container(message);
      ::sd_bus_message_append(message, "{sv}", "wait", "i", 20);
      ::sd_bus_message_close_container(message);
    });
    ASSERT_TRUE(outcome.ok()) << given.signature << ": " << outcome.message();
    EXPECT_EQ(service_.asked.at(0).min_valid, 30s) << given.signature;
    EXPECT_GT(service_.asked.at(0).wait, 19s);
    EXPECT_LT(service_.asked.at(0).wait, 20s) << "the answer must still come within 20 s";
  }
}

TEST_F(BusCallsTest, RefusesOptionsThatItDoesNotKnowOrCannotTake) {
  service_.add("flat");
  auto client = connect();
  const auto with = [&](const char* name, const char* type, auto value) {
    return call(*client, "GetAccessToken", [=](sd_bus_message* message) {
      ::sd_bus_message_append(message, "sa{sv}", "flat", 1, name, type, value);
    });
  };
  const Outcome outcomes[] = {
      with("min_valid", "s", "30"), with("min_valid", "i", -1), with("min_valid", "u", 31536001U),
      with("wait", "u", 21U),       with("wait", "b", 1),       with("Wait", "u", 1U),
      with("secret", "s", "x")};
  for (const Outcome& outcome : outcomes)
    EXPECT_EQ(outcome.error(), "InvalidArgs") << outcome.message();
  EXPECT_TRUE(service_.asked.empty());
  EXPECT_EQ(with("hunter2", "u", 1U).message().find("hunter2"), std::string::npos);
}

// The highest number means "none" to the kernel; the HTTP door refuses it too.
TEST(BusOptions, NobodysNumberIsNoUserWhoseBrowserMayAnswer) {
  for (const std::uint64_t uid : {std::uint64_t{UINT32_MAX}, std::uint64_t{UINT32_MAX} + 1}) {
    std::vector<Option> options;
    options.push_back({"browser_uid", uid});
    EXPECT_FALSE(read_login_options(options)) << uid;
  }
  std::vector<Option> options;
  options.push_back({"browser_uid", std::uint64_t{UINT32_MAX} - 1});
  EXPECT_EQ(read_login_options(options)->browser_user, UINT32_MAX - 1);
}

TEST_F(BusCallsTest, RefusesOtherSignaturesBeforeAnybodyIsAsked) {
  service_.add("flat");
  auto client = connect();
  const Outcome outcome = call(*client, "GetAccessToken", [](auto* m) { ::sd_bus_message_append(m, "s", "flat"); });
  EXPECT_EQ(outcome.error(), "InvalidArgs");
  EXPECT_EQ(call(*client, "Reject", [](auto* m) { ::sd_bus_message_append(m, "su", "flat", 1); }).error(),
            "InvalidArgs");
  EXPECT_EQ(call(*client, "NoSuchMethod").error(), "UnknownMethod");
  EXPECT_TRUE(service_.asked.empty());
}

TEST_F(BusCallsTest, EveryProblemHasItsError) {
  auto& account = service_.add("flat");
  auto client = connect();
  const std::pair<ProblemKind, const char*> errors[] = {
      {ProblemKind::kBadRequest, "BadRequest"},   {ProblemKind::kNotAllowed, "NotAllowed"},
      {ProblemKind::kNeedsLogin, "NeedsLogin"},   {ProblemKind::kSuspended, "Suspended"},
      {ProblemKind::kLoginOver, "LoginOver"},     {ProblemKind::kLoginInProgress, "LoginInProgress"},
      {ProblemKind::kTooLarge, "TooLarge"},       {ProblemKind::kBusy, "Busy"},
      {ProblemKind::kUnavailable, "Unavailable"}, {ProblemKind::kTimeout, "Timeout"}};
  for (const auto& [kind, name] : errors) {
    account.problem = Problem{kind, "the detail", "credsync login flat", 5s, {}};
    const Outcome outcome = token(*client, "flat");
    EXPECT_EQ(outcome.error(), name);
    EXPECT_EQ(outcome.message(), "the detail (credsync login flat)");
    EXPECT_STREQ(::sd_bus_message_get_error(outcome.body())->name,
                 (std::string("org.credsync.CredSync1.Error.") + name).c_str());
  }
}

TEST_F(BusCallsTest, AMissingAccountAndAForbiddenOneAreTheSame) {
  service_.add("theirs").only = ::getuid() + 1;
  auto client = connect();
  const char* const methods[] = {"GetAccount", "Refresh", "SignOut"};
  for (const char* method : methods) {
    const Outcome theirs = call(*client, method, [](auto* m) { ::sd_bus_message_append(m, "s", "theirs"); });
    for (const char* name : {"missing", "No Name At All", ""}) {
      const Outcome missing = call(*client, method, [=](auto* m) { ::sd_bus_message_append(m, "s", name); });
      EXPECT_EQ(missing.error(), "NoSuchAccount");
      EXPECT_EQ(std::pair(theirs.error(), theirs.message()), std::pair(missing.error(), missing.message())) << method;
    }
  }
  EXPECT_EQ(token(*client, "theirs").message(), token(*client, "missing").message());
  Outcome list = call(*client, "ListAccounts");
  EXPECT_GT(::sd_bus_message_enter_container(list.body(), 'a', "a{sv}"), 0);
  EXPECT_TRUE(::sd_bus_message_at_end(list.body(), 0));
}

TEST_F(BusCallsTest, DescribesAccounts) {
  service_.add("flat").decorate = [](AccountStatus& status) {
    status.error = {"transient", "the provider is down", wall_from_seconds(1'800'000'001)};
    status.next_step = {"sign in", "credsync login flat"};
  };
  auto client = connect();
  Outcome one = call(*client, "GetAccount", [](auto* m) { ::sd_bus_message_append(m, "s", "flat"); });
  ASSERT_TRUE(one.ok()) << one.message();
  const auto status = read_dictionary(one.body());
  EXPECT_EQ(status.at("account"), "s flat");
  EXPECT_EQ(status.at("state"), "s ok");
  EXPECT_EQ(status.at("since"), "t 1800000000000000");
  EXPECT_EQ(status.at("error"), "a{sv}");
  EXPECT_EQ(status.at("next_step"), "a{sv}");
  EXPECT_EQ(status.count("last_used"), 0U) << "what is unknown is left out";
  Outcome list = call(*client, "ListAccounts");
  ASSERT_GT(::sd_bus_message_enter_container(list.body(), 'a', "a{sv}"), 0);
  EXPECT_EQ(read_dictionary(list.body()), status);
}

TEST_F(BusCallsTest, ListsInPartsAndAnswersOthersBetweenThem) {
  constexpr unsigned kAccounts = 400;
  service_.accounts_at_once = 1;
  for (unsigned i = 0; i < kAccounts; ++i)
    service_.add("account-" + std::to_string(i));
  auto patient = connect(), other = connect();
  ASSERT_TRUE(call(*patient, "WhoAmI").ok() && call(*other, "WhoAmI").ok()) << "both are known";
  service_.asked.clear();
  std::optional<Outcome> all, one;
  patient->call("ListAccounts", {}, all);
  let_the_bus_bring(*patient);
  other->call("GetAccessToken", no_options("account-1"), one);
  let_the_bus_bring(*other);
  ASSERT_TRUE(until([&] { return all && one; }));
  EXPECT_TRUE(one->ok());
  const auto served = std::find_if(service_.asked.begin(), service_.asked.end(),
                                   [](const auto& asked) { return asked.operation == "token"; });
  EXPECT_LT(served - service_.asked.begin(), 10) << "after a few parts";
  ASSERT_TRUE(all->ok()) << all->message();
  ASSERT_GT(::sd_bus_message_enter_container(all->body(), 'a', "a{sv}"), 0);
  unsigned listed = 0;
  for (; ::sd_bus_message_at_end(all->body(), 0) == 0; ++listed)
    (void)read_dictionary(all->body());
  EXPECT_EQ(listed, kAccounts);
}

TEST_F(BusCallsTest, WhoLeavesBetweenThePartsOfAListIsForgotten) {
  service_.accounts_at_once = 1;
  for (unsigned i = 0; i < 50; ++i)
    service_.add("account-" + std::to_string(i));
  auto leaver = connect(), other = connect();
  std::optional<Outcome> all, whole;
  leaver->call("ListAccounts", {}, all);
  ASSERT_TRUE(until([&] { return service_.asked.size() > 5; }));
  other->call("ListAccounts", {}, whole);
  leaver.reset();
  ASSERT_TRUE(until([&] { return whole.has_value(); }));
  EXPECT_TRUE(whole->ok()) << whole->message();
  EXPECT_FALSE(all.has_value());
}

TEST_F(BusCallsTest, SaysWhoTheCallerIs) {
  service_.add("flat");
  auto client = connect();
  const Outcome outcome = call(*client, "WhoAmI");
  ASSERT_TRUE(outcome.ok()) << outcome.message();
  const auto who = read_dictionary(outcome.body());
  EXPECT_EQ(who.at("uid"), "u " + std::to_string(::getuid()));
  EXPECT_EQ(who.at("pid"), "u " + std::to_string(::getpid()));
  EXPECT_EQ(who.at("user"), "s alice");
  EXPECT_EQ(who.at("gid"), "u " + std::to_string(service_.asked.back().caller.gid));
  EXPECT_EQ(who.at("unit"), "s score-sync.service");
  EXPECT_EQ(who.count("unit_why"), 0U) << "one or the other";
  EXPECT_EQ(who.count("exe"), 0U);
  EXPECT_EQ(who.at("exe_why"), "s it may not be read");
  EXPECT_EQ(who.at("groups"), "a(us)");
  EXPECT_EQ(who.at("accounts"), "aa{sv}");
}

TEST_F(BusCallsTest, PassesOnRejectionsReloadsAndSignOuts) {
  service_.add("flat");
  auto client = connect();
  EXPECT_TRUE(
      call(*client, "Reject", [](auto* m) { ::sd_bus_message_append(m, "st", "flat", std::uint64_t{7}); }).ok());
  EXPECT_EQ(service_.asked.back().generation, 7U);
  EXPECT_TRUE(call(*client, "SignOut", [](auto* m) { ::sd_bus_message_append(m, "s", "flat"); }).ok());
  EXPECT_EQ(service_.asked.back().operation, "sign_out");
  EXPECT_TRUE(call(*client, "Reload").ok());
  service_.admin_problem =
      Problem{ProblemKind::kBadRequest, "it is wrong", "credsyncd --check-config", {}, {"a:1:2: b"}};
  const Outcome refused = call(*client, "Reload");
  EXPECT_EQ(refused.error(), "BadRequest");
  EXPECT_EQ(refused.message(), "it is wrong\na:1:2: b\n(credsyncd --check-config)");
}

TEST_F(BusCallsTest, RunsASignInSession) {
  LoginView view;
  view.id = "00112233445566778899aabbccddeeff";
  view.account = "flat";
  view.method = "browser";
  view.url = "https://provider.example/authorize?x=y";
  service_.add("flat").begins = view;
  auto client = connect();
  const Outcome begun = call(*client, "BeginLogin", [](auto* m) {
    ::sd_bus_message_append(m, "sa{sv}", "flat", 2, "method", "s", "browser", "replace_identity", "b", 1);
  });
  ASSERT_TRUE(begun.ok()) << begun.message();
  const char* id = nullptr;
  ::sd_bus_message_read_basic(begun.body(), 's', &id);
  EXPECT_EQ(id, view.id);
  EXPECT_EQ(read_dictionary(begun.body()).at("url"), "s " + view.url);
  EXPECT_EQ(service_.asked.back().method, LoginMethod::kBrowser);

  const auto with_id = [&](auto* m) { ::sd_bus_message_append(m, "s", view.id.c_str()); };
  const Outcome waited = call(*client, "WaitLogin", [&](auto* m) {
    with_id(m);
    ::sd_bus_message_append(m, "a{sv}", 1, "wait", "u", 3U);
  });
  EXPECT_EQ(read_dictionary(waited.body()).at("phase"), "s waiting") << waited.message();
  EXPECT_EQ(service_.asked.back().wait, 3s);
  const Outcome answered = call(*client, "AnswerLogin", [&](auto* m) {
    with_id(m);
    ::sd_bus_message_append(m, "s", "http://127.0.0.1/cb?code=secret");
  });
  EXPECT_TRUE(answered.ok()) << answered.message();
  EXPECT_EQ(service_.asked.back().secret, "http://127.0.0.1/cb?code=secret");
  EXPECT_EQ(read_dictionary(call(*client, "CancelLogin", with_id).body()).at("phase"), "s cancelled");
  EXPECT_EQ(call(*client, "CancelLogin", [](auto* m) { ::sd_bus_message_append(m, "s", "none"); }).error(),
            "NoSuchAccount");
}

TEST_F(BusCallsTest, TakesASecretForASignInThatNeedsNobody) {
  service_.add("flat");
  auto client = connect();
  const Outcome done = call(*client, "BeginLogin", [](auto* m) {
    ::sd_bus_message_append(m, "sa{sv}", "flat", 3, "method", "s", "password", "secret", "s", "hunter2", "username",
                            "s", "me");
  });
  ASSERT_TRUE(done.ok()) << done.message();
  const char* id = nullptr;
  ::sd_bus_message_read_basic(done.body(), 's', &id);
  EXPECT_STREQ(id, "");
  EXPECT_EQ(read_dictionary(done.body()).at("account"), "s flat");
  EXPECT_EQ(service_.asked.back().secret, "hunter2");
  EXPECT_EQ(service_.asked.back().username, "me");
}

TEST_F(BusCallsTest, TextThatIsNoUtf8NeverReachesTheBus) {
  auto& account = service_.add("flat");
  account.extra = {{"instance\xff", std::string("a\0b", 3)}};
  auto client = connect();
  const Outcome cleaned = token(*client, "flat");
  ASSERT_TRUE(cleaned.ok()) << cleaned.message();
  ::sd_bus_message_skip(cleaned.body(), "st");
  EXPECT_EQ(read_dictionary(cleaned.body()).at("extra"), "a{ss}");
  // A token that is no text is not changed into another one.
  account.token = "to\xffken";
  EXPECT_EQ(token(*client, "flat").error(), "Failed");
  account.problem = Problem{ProblemKind::kUnavailable, "the \xff provider", {}, {}, {}};
  EXPECT_EQ(token(*client, "flat").message(), "the \xef\xbf\xbd provider");
  EXPECT_FALSE(server_->trouble()) << "the connection has outlived all of it";
}

TEST_F(BusCallsTest, AnAnswerThatIsTooLargeIsAnErrorAndNotTheEndOfTheConnection) {
  for (int i = 0; i < 100; ++i)
    service_.add("a" + std::to_string(i)).scope.assign(1000, std::string(50, 'x'));
  auto client = connect();
  const Outcome outcome = call(*client, "ListAccounts");
  EXPECT_EQ(outcome.error(), "TooLarge");
  EXPECT_TRUE(token(*client, "a7").ok());
}

}  // namespace
}  // namespace credsync::ipc::dbus
