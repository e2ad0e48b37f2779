// SPDX-License-Identifier: MIT
// cpu_threads_test.cpp — fewer OpenMP threads than asked for: training goes on with those that come.
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CpuThreads : public TinyRun {
 protected:
  using Environment = std::vector<std::pair<const char*, const char*>>;
  /// One step; a run that only waits for threads is ended by its use of the processor.
  Outcome run(const std::string& name, const Environment& environment,
              const std::vector<std::string>& more = {}) const {
    return haze(arguments(name, 1, more), [&] {
      for (const auto& [variable, value] : environment) setenv(variable, value, 1);
      const rlimit seconds{60, 60};
      setrlimit(RLIMIT_CPU, &seconds);
    });
  }
};

TEST_F(CpuThreads, ALimitOnThreadsIsKept) {
  const Outcome limited = run("limit", {{"OMP_THREAD_LIMIT", "1"}}, {"--threads", "2"});
  EXPECT_EQ(limited.code, 0) << limited.err;
  EXPECT_THAT(limited.err, HasSubstr("haze: warning: --threads: 2 threads; OMP_THREAD_LIMIT is 1: "
                                     "computing on 1\n"));
  EXPECT_THAT(contents(at("limit/run.json")), HasSubstr("\"threads\": 1"));
  const Outcome more = run("more", {{"OMP_THREAD_LIMIT", "2"}, {"OMP_NUM_THREADS", "3"}});
  EXPECT_EQ(more.code, 0) << more.err;
  EXPECT_THAT(more.err, HasSubstr("OMP_NUM_THREADS: 3 threads; OMP_THREAD_LIMIT is 2"));
}

TEST_F(CpuThreads, ARegionHasAllItsThreads) {
  for (const char* name : {"OMP_DYNAMIC", "OMP_MAX_ACTIVE_LEVELS"}) {
    const Outcome got =
        run(name, {{"OMP_NUM_THREADS", "2"}, {name, name[4] == 'D' ? "true" : "0"}});
    EXPECT_EQ(got.code, 0) << got.err;
    EXPECT_THAT(got.err, Not(HasSubstr("computing on")));
    EXPECT_THAT(contents(at(std::string(name) + "/run.json")), HasSubstr("\"threads\": 2"));
  }
}

TEST_F(CpuThreads, ThreadsThatCannotStartAreNotWaitedFor) {
  // Stacks of 10^15 bytes: the system refuses every thread but the first.
  const Outcome got = run("run", {{"OMP_NUM_THREADS", "4"}, {"OMP_STACKSIZE", "900000G"}});
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_THAT(got.err, AllOf(HasSubstr("OMP_NUM_THREADS: 4 threads; the system starts no more"),
                             HasSubstr("computing on 1\n")));
}

TEST_F(CpuThreads, AnAbsurdNumberIsTheMachines) {
  const Outcome got = run("run", {{"OMP_NUM_THREADS", "100000"}});
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_THAT(got.err, HasSubstr("OMP_NUM_THREADS: 100000 threads; at most 4096 make sense"));
  const Outcome flag = run("flag", {}, {"--threads", "100000"});
  EXPECT_EQ(flag.code, 2);
  EXPECT_THAT(flag.last_error_line(),
              HasSubstr("--threads: 100000; a whole number from 1 to 4096"));
}

}  // namespace
}  // namespace haze::test
