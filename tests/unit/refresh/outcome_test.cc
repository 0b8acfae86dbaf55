#include "daemon/refresh/outcome.h"

#include <gtest/gtest.h>

namespace credsync::refresh {
namespace {

using account::State;
using oauth::FailureClass;

struct Row {
  const char* name;
  FailureClass failure;
  Situation situation;
  State state;
  Next next;
  bool known;
  bool client;
};

Situation rotates(bool resend = false, std::optional<Duration> overlap = {}) {
  return {true, resend, overlap, 0, {}};
}
Situation unclear(unsigned before) {
  return {false, false, {}, before, {}};
}
Situation untrusted(Duration since) {
  return {false, false, {}, 0, since};
}

const Situation kRotates = rotates();
const Situation kResend = rotates(true);

class Judged : public testing::TestWithParam<Row> {};
TEST_P(Judged, FollowsTheTable) {
  const Row& row = GetParam();
  oauth::Failure failure;
  failure.failure_class = row.failure;
  const Verdict verdict = judge(failure, row.situation);
  EXPECT_EQ(verdict.state, row.state);
  EXPECT_EQ(verdict.next, row.next);
  EXPECT_EQ(verdict.outcome_known, row.known);
  EXPECT_EQ(verdict.whole_client, row.client);
}

INSTANTIATE_TEST_SUITE_P(
    Outcomes, Judged,
    testing::Values(
        Row{"not_sent", FailureClass::kNotSent, kRotates, State::kRetrying, Next::kBackOff, true, false},
        Row{"resend_not_sent_stays_unknown", FailureClass::kNotSent, kResend, State::kRetrying, Next::kBackOff, false,
            false},
        Row{"transient", FailureClass::kTransient, kRotates, State::kRetrying, Next::kBackOff, true, false},
        Row{"ambiguous_without_rotation", FailureClass::kAmbiguous, {}, State::kRetrying, Next::kBackOff, true, false},
        Row{"ambiguous_waits_for_the_floor", FailureClass::kAmbiguous, kRotates, State::kRetrying, Next::kAtFloor,
            false, false},
        Row{"ambiguous_within_overlap", FailureClass::kAmbiguous, rotates(false, Duration(10min)), State::kRetrying,
            Next::kNow, false, false},
        Row{"ambiguous_twice", FailureClass::kAmbiguous, kResend, State::kNeedsLogin, Next::kNever, false, false},
        Row{"ambiguous_twice_within_overlap", FailureClass::kAmbiguous, rotates(true, Duration(10min)),
            State::kRetrying, Next::kSoon, false, false},
        Row{"no_token_in_a_200_that_may_have_rotated", FailureClass::kNoToken, kRotates, State::kRetrying,
            Next::kAtFloor, false, false},
        Row{"no_token_without_rotation", FailureClass::kNoToken, {}, State::kRetrying, Next::kBackOff, true, false},
        Row{"dead", FailureClass::kNeedsLogin, kRotates, State::kNeedsLogin, Next::kNever, true, false},
        Row{"code_refused", FailureClass::kStartOver, {}, State::kNeedsLogin, Next::kNever, true, false},
        Row{"unclear_once", FailureClass::kUnclear, {}, State::kRetrying, Next::kSlowly, true, false},
        Row{"unclear_thrice", FailureClass::kUnclear, unclear(2), State::kNeedsLogin, Next::kNever, true, false},
        Row{"client_wrong", FailureClass::kClient, {}, State::kSuspended, Next::kSlowly, true, true},
        Row{"refused", FailureClass::kRefused, {}, State::kSuspended, Next::kSlowly, true, false},
        Row{"secret_file_gone", FailureClass::kLocal, {}, State::kSuspended, Next::kSlowly, true, false},
        Row{"untrusted_at_first", FailureClass::kUntrusted, {}, State::kRetrying, Next::kBackOff, true, false},
        Row{"untrusted_for_a_day", FailureClass::kUntrusted, untrusted(24h), State::kSuspended, Next::kSlowly, true,
            false}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace credsync::refresh
