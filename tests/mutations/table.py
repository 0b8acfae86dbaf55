"""Which test notices which fault on purpose (base/mutation.h), by the invariant of docs/architecture.md that it breaks.

Each row was found by running, and run.py runs it again: under the fault every test that is named here must fail. A test is
    simulation                      the worlds of tests/simulation, in some hundred seeds
    PROGRAM Suite.Test              a test of units
    test_FILE Class.test            an integration test, with credsyncd_switched as the daemon: in the long run
The table in docs/reliability.md is made of this (tests/lint/mutation_table.py --write).
"""

from typing import NamedTuple


class Row(NamedTuple):
    mutation: str
    breaks: str
    tests: tuple


SIMULATION = "simulation"
R, H, C, L = "refresh_test RefresherTest.", "handout_test DeskTest.", "reconcile_test ReconcileTest.", "login_test GrantChangeTest."
FOUND, HELD = "refresh_test FoundBySimulationTest.", "refresh_test HeldAnswersTest."
GATE, HOSTILE, LIMITS = "refresh_test EndpointGate.", "oauth_test Hostile.", "ipc_http_test LimitsTest."
KILLS = "test_rotation_kill RotationKill.test_a_kill_at_any_moment_costs_nothing_that_had_reached_the_disk"
CANARY = "test_canary Canary.test_no_secret_is_anywhere_it_should_not_be"
DECISIONS = "test_decisions Decisions.test_every_row_is_decided_and_explained_as_the_rules_say"

INVARIANTS = (
    ("one flight", (
        Row("two-flights", "a second refresh starts while one is under way", (SIMULATION, R + "IsAloneAndSharedByAllWhoWait")),
        Row("forget-own-flight", "a grant comes back with its configuration, and its refresh under way is not recognised",
            (SIMULATION, C + "AnEditTakenBackDuringARefreshDoesNotSendItsTokenTwice")))),
    ("persist, then publish", (
        Row("publish-first", "new tokens are visible before the store has them",
            (SIMULATION, L + "AnAnswerThatCannotBeStoredChangesNothing", KILLS)),
        Row("keep-old-token", "the old token stays in use beside its successor on the disk",
            (SIMULATION, L + "TheOldTokensWorkUntilTheNewOnesAreDurableAndAreRetiredThen")))),
    ("nothing expired leaves", (
        Row("hand-out-expired", "an end that has passed is no hindrance", (SIMULATION, H + "AnExpiredTokenNeverLeaves")),
        Row("wall-clock-alone", "the boot clock is not asked",
            (SIMULATION, R + "AClockSetForwardExpiresTokensAndSetBackDoesNotRevive")),
        Row("life-from-receipt", "a lifetime counts from the answer, not from the request",
            (SIMULATION, "oauth_test FfLogs.A360DayTokenDoesNotOverflow")),
        Row("no-floor", "a token with a moment left is handed out without trying to refresh",
            (SIMULATION, R + "IsAloneAndSharedByAllWhoWait")))),
    ("a rotation is never lost to us", (
        Row("no-intent", "a rotating refresh token is sent without one",
            (SIMULATION, L + "AFullDiskCannotRefuseTheAnswer", KILLS)),
        Row("send-before-intent", "it is sent while its intent is on the way to the disk",
            (SIMULATION, R + "MakesTheIntentDurableBeforeItSends")),
        Row("resend-uncounted", "it is sent again without counting that first",
            (SIMULATION, R + "AnIntentFoundAtStartIsResentOnceAtTheFloor")),
        Row("resend-for-ever", "it is sent again after every lost answer", (SIMULATION,)),
        Row("give-up-early", "a start gives up what the provider still takes, for its overlap lasts",
            (SIMULATION, "reconcile_test LostTwiceTest.WhileTheOverlapLastsAStartTriesAgain")),
        Row("resend-at-once", "it is sent again at once though no overlap is declared",
            (SIMULATION, FOUND + "NothingThatGetsBetterSendsAnUnknownRefreshTokenBeforeItsTime")),
        Row("forget-intents", "at a start, refreshes whose outcome is unknown are taken for over", (SIMULATION,)),
        Row("lose-stored-answer", "the answer is handed to nobody who stores it",
            (SIMULATION, R + "AfterThreeFreshTokensRejectedTheAccountPausesAndSaysWhy")))),
    ("a failure never costs a working token", (
        Row("discard-when-dead", "`needs-login` throws the tokens away", (SIMULATION, R + "AWorkingTokenSurvivesEveryFailure")),
        Row("refuse-in-trouble", "only an account that is `ok` hands out", (SIMULATION, R + "AWorkingTokenSurvivesEveryFailure")),
        Row("discard-on-new-config", "a change of identity throws the tokens away",
            (SIMULATION, C + "AChangedIdentityParksAndComesBackWithTheSetting")))),
    ("superseded means retired", (
        Row("forget-retirement", "what is replaced is not queued",
            (SIMULATION, L + "TheOldTokensWorkUntilTheNewOnesAreDurableAndAreRetiredThen")),
        Row("forget-promises", "what callers were promised is not stored",
            (SIMULATION, "refresh_test PromisesTest.ACrashBeforeTheRefreshTakesNoPromiseBack")),
        Row("retire-outside-store", "it is queued in memory only",
            (SIMULATION, HELD + "ARefreshOnItsWayWhenASignInIsOrderedIsRetiredBehindIt")),
        Row("revoke-at-once", "neither grace nor promises are waited for",
            (SIMULATION, FOUND + "APromiseOutlivesARefreshThatBringsTheSameTokenAgain")),
        Row("revoke-once", "a revocation that failed is not tried again", (SIMULATION,)))),
    ("revoking never backfires", (
        Row("revoke-any-cascade", "what else dies is not asked",
            (SIMULATION, R + "NothingIsRevokedWhereTheCascadeIsUnknownOrTheTokenIsTheSame",
             L + "WhereRevokingCouldKillTheLiveGrantNothingIsRevoked")),
        Row("revoke-current", "nor whether the provider gave the same token again",
            (SIMULATION, R + "NothingIsRevokedWhereTheCascadeIsUnknownOrTheTokenIsTheSame")))),
    ("late results find their place", (
        Row("drop-late", "a late answer is dropped",
            (SIMULATION, R + "ALateAnswerAfterSignOutIsRetiredNotInstalled", C + "AnAnswerForAParkedGrantIsKeptWithIt")),
        Row("overwrite-newer", "a late answer is installed over a newer sign-in",
            (SIMULATION, HELD + "AnAnswerThatComesWhileASignInIsOnItsWayIsRetiredBehindIt")))),
    ("secrets stay secret", (
        Row("echo-secrets", "what a provider echoes of its request is shown",
            (HOSTILE + "SecretsOfOddCharactersAreStruckOut", "sign_in_messages_test Callback.ProviderErrorsAreToldCleaned")),
        Row("store-in-clear", "what is stored is not sealed", ("store_test CanaryScan.FindsNothing", CANARY)),
        Row("log-token", "a new token is logged", (CANARY,)))),
    ("identity is the kernel's", (
        Row("trust-unknown", "overflow ids and pid 0 match rules like others",
            ("handout_test Access.OverflowIdsAndPidZeroMatchNothing",)),
        Row("allow-by-default", "whom no rule names gets tokens",
            ("handout_test Access.IsDeniedByDefault", DECISIONS)),
        Row("no-audit", "nothing is recorded",
            ("handout_test AuditTest.TheFirstHandOutIsToldAtOnceAndRepeatsAreCounted",)))),
    ("everything is bounded", (
        Row("no-back-off", "failures are retried at once", (SIMULATION, H + "AFailedRefreshAnswersWhoeverCannotWaitForTheNext")),
        Row("no-caller-limit", "a user may have any number of connections", (LIMITS + "AConnectionOverTheLimitIsToldAndClosed",)),
        Row("deep-json", "answers may be nested as deep as they like", ("oauth_test JsonValue.DepthAndSizeAreBounded",)))),
    ("one slow thing slows nothing else", (
        Row("wait-for-others", "a hand-out waits for a refresh that its caller does not need",
            (SIMULATION, R + "PublishesNothingBeforeItIsDurable")),
        Row("no-window", "an endpoint that hangs may take all workers", (GATE + "ClosesToOneAfterATimeOut",)))),
)
# Section 6 of the design is no invariant, but as easily broken.
WHEN_TO_REFRESH = ("when to refresh", (
    Row("no-allowance", "`refresh`, `reject` and `min_valid` cost nothing", (SIMULATION,)),
    Row("no-pause", "a 429 holds nobody back",
        (SIMULATION, GATE + "NobodyGoesWhileItIsPausedAndItSaysWhenToComeBack")),
    Row("no-rate", "a declared rate is not kept", (SIMULATION, GATE + "KeepsTheDeclaredRateHoweverLateRequestsArrive")),
    Row("forget-plan", "nothing is planned after a refresh", (SIMULATION,))))
GROUPS = (*INVARIANTS, WHEN_TO_REFRESH)
ROWS = tuple(row for _, rows in GROUPS for row in rows)


def kind(test):
    """"simulation", "unit" or "integration"."""
    if test == SIMULATION:
        return test
    return "integration" if test.startswith("test_") else "unit"
