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
      return loaded;
    };
    steps.take_over = [this](const config::Loaded& loaded) -> Reload::Outcome {
      in_force_ = loaded.config.listen.http;
      if (in_force_ == "wrong") return ipc::Problem{ipc::ProblemKind::kBadRequest, "wrong", "", {}, {}};
      return ipc::ReloadAnswer{{in_force_}, {}, {}, {}};
    };
    return steps;
  }
  // What is answered: what was read, or the problem.
  void order(const std::string& who) {
    reload_.order([this, who](const Reload::Outcome& outcome) {
      const auto* done = std::get_if<ipc::ReloadAnswer>(&outcome);
      answers_.push_back(who + ": " +
                         (done != nullptr ? done->changed.front() : std::get<ipc::Problem>(outcome).detail));
    });
  }
  using Answers = std::vector<std::string>;

  fakes::WaitingExecutor loop_;
  std::string file_ = "first", in_force_;  // the file changes only while nobody reads
  std::thread::id reader_;
  unsigned begun_ = 0;
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

TEST_F(ReloadTest, OneThatIsRefusedIsToldToAllWhoShareIt) {
  file_ = "wrong";
  order("a");
  order("b");
  loop_.run_one();
  loop_.run_one();
  EXPECT_EQ(answers_, (Answers{"a: wrong", "b: wrong"}));
}

TEST_F(ReloadTest, WhoOrdersAnotherFromTheAnswerGetsIt) {
  reload_.order([this](const Reload::Outcome&) { order("a"); });
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
  loop_.run_one();
  EXPECT_EQ(in_force_, "");
  EXPECT_EQ(begun_, 1U);
}

}  // namespace
}  // namespace credsync
