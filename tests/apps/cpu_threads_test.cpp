// SPDX-License-Identifier: MIT
// cpu_threads_test.cpp — fewer OpenMP threads than asked for: training goes on with those that come.
#include "apps/cpu_threads.h"

#include <omp.h>
#include <sys/wait.h>

#include "engine/device.h"
#include "engine/files/checkpoint.h"
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

/// Both in a process of its own: a region of threads may have been entered in this one.
TEST(GoOnWithThreads, AsManyAsBeforeUnlessOthersAreAskedFor) {
  const auto in_child = [](const char* variable, int asked, int saved) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      variable ? setenv("OMP_NUM_THREADS", variable, 1) : unsetenv("OMP_NUM_THREADS");
      omp_set_num_threads(variable ? std::atoi(variable) : asked > 0 ? asked : 1);
      apps::CommonOptions options;
      options.threads = asked;
      std::string said = apps::go_on_with_threads(options, saved);
      said += cat('|', omp_get_max_threads());
      _exit(::write(ends[1], said.data(), said.size()) == ssize_t(said.size()) ? 0 : 1);
    }
    ::close(ends[1]);
    std::string said(512, 0);
    said.resize(std::size_t(std::max<ssize_t>(::read(ends[0], said.data(), said.size()), 0)));
    ::close(ends[0]);
    waitpid(child, nullptr, 0);
    return said;
  };
  EXPECT_EQ(in_child(nullptr, 0, 3), "|3");
  EXPECT_EQ(in_child(nullptr, 3, 3), "|3");
  EXPECT_THAT(in_child(nullptr, 2, 3),
              AllOf(testing::StartsWith("the run had 3 CPU threads and has 2 now"),
                    testing::EndsWith("|2")));
  EXPECT_THAT(in_child("1", 0, 3), HasSubstr("had 3 CPU threads and has 1 now"));
}

TEST_F(CpuThreads, ARunInBf16GoesOnWithAsManyAsItHad) {
  const std::vector<std::string> bf16 = {"--precision", "bf16"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), bf16.begin(), bf16.end());
    return more;
  };
  const auto no_variable = [] { unsetenv("OMP_NUM_THREADS"); };
  const bool depends = engine::depends_on_threads(CpuStream{}, DType::bf16);
  ASSERT_EQ(haze(arguments("run", 1, with({"--threads", "3"})), no_variable).code, 0);
  const Outcome again = haze(arguments("run", 2, with({"--resume"})), no_variable);
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.err, Not(HasSubstr("CPU threads and has")));
  const Outcome other =
      haze(arguments("run", 3, with({"--resume", "--threads", "2"})), no_variable);
  EXPECT_EQ(other.code, 0) << other.err;
  EXPECT_EQ(other.err.find("the run had 3 CPU threads and has 2 now") != std::string::npos,
            depends);
  // Where bits do not depend on threads, a checkpoint does not say how many there were.
  const auto header = engine::newest_checkpoint_header(engine::disk(), at("run"));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->meta.threads, depends ? 2 : 0);
}

}  // namespace
}  // namespace haze::test
