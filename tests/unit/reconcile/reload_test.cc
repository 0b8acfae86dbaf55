// A reload reads away from the loop, and nobody gets an answer of what was read before he asked.
#include "daemon/reload.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/fakes/waiting_executor.h"

namespace credsync {
namespace {

class ReloadTest : public testing::Test {
 protected:
  Reload::Steps steps() {
    Reload::Steps steps;
    steps.begins = [this] { ++begun_; };
    steps.read = [this] {
      reader_ = std::this_thread::get_id();
      config::Loaded loaded;
      loaded.config.listen.http = file_;
      if (file_ == "wrong") loaded.problems.push_back({{"a.toml", 3, 1}, "margni", "is unknown"});
      return loaded;
    };
    steps.take_over = [this](const config::Loaded& loaded) {
      in_force_ = loaded.config.listen.http;
      return ipc::ReloadAnswer{{in_force_}, {}, {}, {}};
    };
    steps.ends = [this] { ++ended_; };
    return steps;
  }
  // What is answered: what was read, or the problem.
  void order(const std::string& who) {
    reload_.order([this, who](const Outcome& outcome) {
      const auto* done = std::get_if<ipc::ReloadAnswer>(&outcome);
      answers_.push_back(who + ": " +
                         (done != nullptr ? done->changed.front() : words(std::get<ipc::Problem>(outcome))));
    });
  }
  static std::string words(const ipc::Problem& problem) {
    return problem.problems.empty() ? problem.detail : problem.problems.front();
  }
  using Outcome = ipc::Answer<ipc::ReloadAnswer>;
  using Answers = std::vector<std::string>;

  fakes::WaitingExecutor loop_;
  std::string file_ = "first", in_force_;  // the file changes only while nobody reads
  std::thread::id reader_;
  unsigned begun_ = 0, ended_ = 0;
  Answers answers_;
  Reload reload_{steps(), loop_};
};

TEST_F(ReloadTest, IsReadOnAThreadAndTakesForceOnTheLoop) {
  order("a");
  EXPECT_EQ(answers_, Answers{});
  EXPECT_EQ(in_force_, "");
  loop_.run_one();
  EXPECT_EQ(answers_, Answers{"a: first"});
  EXPECT_EQ(in_force_, "first");
  EXPECT_NE(reader_, std::this_thread::get_id());
  EXPECT_EQ(begun_, 1U);
  EXPECT_EQ(ended_, 1U);
}

TEST_F(ReloadTest, WhoAsksMeanwhileGetsTheNextReadingAndSharesIt) {
  order("a");
  order("b");
  order("c");
  loop_.run_one();
  EXPECT_EQ(answers_, Answers{"a: first"}) << "b's change may have come too late for it";
  loop_.run_one();
  EXPECT_EQ(answers_, (Answers{"a: first", "b: first", "c: first"}));
  EXPECT_EQ(begun_, 2U);
  file_ = "second";
  order("d");
  loop_.run_one();
  EXPECT_EQ(answers_.back(), "d: second");
}

TEST_F(ReloadTest, OneThatIsRefusedIsToldToAllWhoShareItAndChangesNothing) {
  file_ = "wrong";
  order("a");
  order("b");
  order("c");
  loop_.run_one();
  loop_.run_one();
  const std::string why = "a.toml:3:1: margni: is unknown";
  EXPECT_EQ(answers_, (Answers{"a: " + why, "b: " + why, "c: " + why}));
  EXPECT_EQ(in_force_, "");
  EXPECT_EQ(ended_, 2U) << "the manager waits for the end of each";
  EXPECT_TRUE(reload_.refused());
  file_ = "right";
  order("d");
  loop_.run_one();
  EXPECT_FALSE(reload_.refused());
}

TEST_F(ReloadTest, WhoOrdersAnotherFromTheAnswerGetsIt) {
  reload_.order([this](const Outcome&) { order("a"); });
  order("b");
  loop_.run_one();
  loop_.run_one();
  EXPECT_EQ(answers_, (Answers{"b: first", "a: first"}));
  EXPECT_EQ(begun_, 2U);
}

TEST_F(ReloadTest, AfterAStopNothingTakesForceAndAllAreTold) {
  order("a");
  order("b");
  reload_.stop();
  order("c");
  EXPECT_EQ(answers_, (Answers{"a: the daemon is stopping", "b: the daemon is stopping", "c: the daemon is stopping"}));
  EXPECT_TRUE(reload_.reading()) << "it cannot be ended";
  loop_.run_one();
  EXPECT_FALSE(reload_.reading());
  EXPECT_EQ(in_force_, "");
  EXPECT_EQ(begun_, 1U);
}

}  // namespace
}  // namespace credsync
