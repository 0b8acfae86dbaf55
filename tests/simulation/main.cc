// simulation [--seeds N] [--first N] [--minutes N] [--large N]   run worlds, stop at the first that breaks an invariant
// simulation --seed N [--large] [--trace]                        one world again, with its trace
// simulation --survey [--seeds N] [--first N]                    go on after failures, list their kinds
//   --ambush: with any of these, somebody edits an account or signs out while its request is on its way
// simulation --replays N                                         each of N worlds twice: the same, step by step
// simulation --mutations [--seeds N]                             (the switched build) every fault on purpose is noticed
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "base/log.h"
#include "tests/simulation/world.h"
#ifdef CREDSYNC_TEST_SWITCHES
#include "tests/fakes/mutation.h"
#endif

namespace {

using namespace credsync;
using namespace credsync::simulation;

constexpr double kLongMinutes = 10;  // what CREDSYNC_LONG stands for; a night is --minutes 480

struct Options {
  std::uint64_t seeds = 1000, first = 1, replays = 0, large = 0;
  double minutes = 0;
  std::optional<std::uint64_t> seed;
  bool trace = false, mutations = false, survey = false;
  std::string mutation;
};

struct Verdict {
  std::optional<Broken> broken;
  std::vector<std::string> lines;
  std::uint64_t hash = 0, checks = 0, calls = 0, starts = 0, crashes = 0, tokens = 0, events = 0;
  std::uint64_t wakes = 0, idle_wakes = 0;
  Duration lived{0};
};

bool ambush = false;  // --ambush

Verdict run_world(Plan plan, bool trace = false) {
  Verdict verdict;
  if (!ambush) plan.faults.ambush = 0;
  World world(std::move(plan));
  if (trace) world.trace().print_all();
  try {
    world.run();
  } catch (const Broken& broken) {
    verdict.broken = broken;
    verdict.lines = world.trace().last(broken.account);
  } catch (const std::exception& e) {
    verdict.broken = Broken("the daemon ends", "", e.what());
    verdict.lines = world.trace().last("");
  }
  verdict.hash = world.trace().hash();
  verdict.checks = world.checks();
  verdict.calls = world.counters().calls;
  verdict.starts = world.counters().starts;
  verdict.crashes = world.counters().crashes;
  verdict.wakes = world.counters().wakes;
  verdict.idle_wakes = world.counters().idle_wakes;
  verdict.tokens = world.tokens_given();
  verdict.events = world.trace().lines();
  verdict.lived = world.time().now();
  return verdict;
}

void tell(const Verdict& verdict, const std::string& program, std::uint64_t seed, bool large,
          const std::string& mutation) {
  const Broken& broken = *verdict.broken;
  std::printf("seed %llu, step %llu: invariant broken: %s\n  account %s: %s\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(verdict.events), broken.invariant.c_str(), broken.account.c_str(),
              broken.what());
  for (const std::string& line : verdict.lines)
    std::printf("    %s\n", line.c_str());
  std::printf("again: %s%s%s --seed %llu%s --trace\n", program.c_str(),
              mutation.empty() ? "" : (" --mutation " + mutation).c_str(), ambush ? " --ambush" : "",
              static_cast<unsigned long long>(seed), large ? " --large 1" : "");
}

struct Total {
  std::uint64_t worlds = 0, checks = 0, calls = 0, starts = 0, crashes = 0, tokens = 0, wakes = 0, idle_wakes = 0;
  double most_idle = 0;
  double years = 0;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();

  void add(const Verdict& v) {
    ++worlds;
    checks += v.checks;
    calls += v.calls;
    starts += v.starts;
    crashes += v.crashes;
    tokens += v.tokens;
    wakes += v.wakes;
    idle_wakes += v.idle_wakes;
    most_idle = std::max(most_idle, static_cast<double>(v.idle_wakes) / static_cast<double>(v.events + 1));
    years += static_cast<double>(v.lived.count()) / 1e6 / 31557600;
  }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); }
  void print() const {
    std::printf(
        "%llu worlds, %.0f simulated years, %llu tokens given, %llu calls, %llu starts, %llu crashes, %llu checks\n",
        static_cast<unsigned long long>(worlds), years, static_cast<unsigned long long>(tokens),
        static_cast<unsigned long long>(calls), static_cast<unsigned long long>(starts),
        static_cast<unsigned long long>(crashes), static_cast<unsigned long long>(checks));
    std::printf("%llu wake-ups, %llu of them with nothing to do, at most %.2f an event of a world\n",
                static_cast<unsigned long long>(wakes), static_cast<unsigned long long>(idle_wakes), most_idle);
    std::printf("%.1f s: a minute runs %.0f worlds, %.0f simulated years\n", seconds(),
                static_cast<double>(worlds) / seconds() * 60, years / seconds() * 60);
  }
};

int run_seeds(const Options& options, const std::string& program) {
  Total total;
  const auto more = [&](std::uint64_t done) {
    return options.minutes > 0 ? total.seconds() < options.minutes * 60 : done < options.seeds;
  };
  for (std::uint64_t i = 0; i < options.large; ++i) {
    const Verdict v = run_world(large_plan_of(options.first + i));
    total.add(v);
    if (v.broken) return tell(v, program, options.first + i, true, options.mutation), 1;
  }
  for (std::uint64_t i = 0; more(i); ++i) {
    const Verdict v = run_world(plan_of(options.first + i));
    total.add(v);
    if (v.broken) return tell(v, program, options.first + i, false, options.mutation), 1;
  }
  total.print();
  return 0;
}

// Goes on after a broken invariant: a line for each seed that shows one, at once, so that a long run that is cut short has
// told what it found; then a line for each kind of failure, with the first seed that shows it.
int survey(const Options& options) {
  Total total;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> kinds;  // how often, first seed
  for (std::uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
    const Verdict v = run_world(plan_of(seed));
    total.add(v);
    if (!v.broken) continue;
    std::string kind = v.broken->invariant + ": " + v.broken->what();
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), kind.c_str());
    std::fflush(stdout);
    std::erase_if(kind, [](char c) { return c >= '0' && c <= '9'; });
    auto& [count, first] = kinds[kind];
    if (count++ == 0) first = seed;
  }
  for (const auto& [kind, seen] : kinds)
    std::printf("%6llu times, first in seed %llu: %s\n", static_cast<unsigned long long>(seen.first),
                static_cast<unsigned long long>(seen.second), kind.c_str());
  total.print();
  return kinds.empty() ? 0 : 1;
}

int run_again(const Options& options) {
  for (std::uint64_t seed = options.first; seed < options.first + options.replays; ++seed) {
    const std::uint64_t once = run_world(plan_of(seed)).hash;
    const std::uint64_t twice = run_world(plan_of(seed)).hash;
    if (once != twice) {
      std::printf("seed %llu is not the same twice\n", static_cast<unsigned long long>(seed));
      return 1;
    }
  }
  std::printf("%llu worlds are the same twice\n", static_cast<unsigned long long>(options.replays));
  return 0;
}

#ifdef CREDSYNC_TEST_SWITCHES
// A fault that no seed shows has survived: then either the worlds or the judge are too mild.
int run_mutations(const Options& options) {
  int survivors = 0;
  for (const Mutation mutation : fakes::all_mutations()) {
    // Its moments are rare: an answer on its way while its grant is edited away or signed out.
    ambush = mutation == Mutation::kDropLate;
    if (options.mutation.empty() && !fakes::is_the_cores(mutation)) continue;
    if (!options.mutation.empty() && fakes::name_of(mutation) != options.mutation) continue;
    fakes::set_mutation(mutation);
    std::uint64_t seed = options.first;
    Verdict verdict;
    while (seed < options.first + options.seeds && !verdict.broken) {
      verdict = run_world(plan_of(seed));
      if (!verdict.broken) ++seed;
    }
    const std::string name(fakes::name_of(mutation));
    if (verdict.broken) {
      std::printf("%-22s seed %5llu  %-40s %s\n", name.c_str(), static_cast<unsigned long long>(seed),
                  verdict.broken->invariant.c_str(), verdict.broken->what());
    } else {
      std::printf("%-22s SURVIVES %llu seeds\n", name.c_str(), static_cast<unsigned long long>(options.seeds));
      ++survivors;
    }
    std::fflush(stdout);
  }
  fakes::set_mutation(Mutation::kNone);
  std::printf("%d of %zu survive\n", survivors, fakes::all_mutations().size());
  return survivors == 0 ? 0 : 1;
}
#endif

std::optional<Options> parse(int argc, char** argv) {
  Options o;
  if (std::getenv("CREDSYNC_LONG") != nullptr) o.minutes = kLongMinutes;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto number = [&] { return i + 1 < argc ? std::strtod(argv[++i], nullptr) : 0; };
    const auto whole = [&] { return static_cast<std::uint64_t>(number()); };
    if (name == "--seeds") {
      o.seeds = whole();
    } else if (name == "--first") {
      o.first = whole();
    } else if (name == "--minutes") {
      o.minutes = number();
    } else if (name == "--large") {
      o.large = whole();
    } else if (name == "--replays") {
      o.replays = whole();
    } else if (name == "--seed") {
      o.seed = whole();
    } else if (name == "--trace") {
      o.trace = true;
    } else if (name == "--ambush") {
      ambush = true;
    } else if (name == "--survey") {
      o.survey = true;
    } else if (name == "--mutations") {
      o.mutations = true;
    } else if (name == "--mutation" && i + 1 < argc) {
      o.mutation = argv[++i];
    } else {
      return std::nullopt;
    }
  }
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(argc, argv);
  if (!options) {
    std::fprintf(stderr,
                 "usage: simulation [--seeds N] [--first N] [--minutes N] [--large N] | --seed N [--large 1] "
                 "[--trace] | --replays N | --mutations\n");
    return 2;
  }
  log::start(log::Level::kCritical);  // what the daemon logs of its invented troubles is nobody's
  int status = 0;
#ifdef CREDSYNC_TEST_SWITCHES
  if (options->mutations) {
    status = run_mutations(*options);
    log::stop();
    return status;
  }
  if (!options->mutation.empty() && !fakes::set_mutation(options->mutation)) return 2;
#endif
  if (options->survey) {
    status = survey(*options);
  } else if (options->replays > 0) {
    status = run_again(*options);
  } else if (options->seed) {
    const bool large = options->large > 0;
    const Verdict v = run_world(large ? large_plan_of(*options->seed) : plan_of(*options->seed), options->trace);
    if (v.broken) tell(v, argv[0], *options->seed, large, options->mutation);
    std::printf("hash %016llx\n", static_cast<unsigned long long>(v.hash));
    status = v.broken ? 1 : 0;
  } else {
    status = run_seeds(*options, argv[0]);
  }
  log::stop();
  return status;
}
