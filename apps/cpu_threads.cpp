// SPDX-License-Identifier: MIT
#include "apps/cpu_threads.h"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <omp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/base/check.h"

namespace haze::apps {
namespace {

/// In a child process: enters a parallel region of `threads` and exits with 0 if all are there.
[[noreturn]] void enter_region(int threads) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (const int null = open("/dev/null", O_RDWR); null >= 0)
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) dup2(null, fd);
  alarm(10);  // a region that does not come to be is as good as none
  int there = 0;
#pragma omp parallel num_threads(threads)
#pragma omp single
  there = omp_get_num_threads();
  _exit(there == threads ? 0 : 1);
}

/// Whether so many threads can be started. The OpenMP run time ends the process when one cannot
/// (and writes beyond the stack for very many), so another process tries.
bool can_start(int threads) {
  if (threads == 1) return true;
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) enter_region(threads);
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// The largest number up to `wanted` that can be started.
int most_that_start(int wanted) {
  if (can_start(wanted)) return wanted;
  int good = 1, bad = wanted;
  while (bad - good > 1) {
    const int middle = good + (bad - good) / 2;
    (can_start(middle) ? good : bad) = middle;
  }
  return good;
}

}  // namespace

std::string settle_threads(const CommonOptions& options) {
  omp_set_dynamic(0);
  omp_set_max_active_levels(1);
  const bool flag = options.threads > 0, variable = std::getenv("OMP_NUM_THREADS") != nullptr;
  const int asked = flag ? options.threads : omp_get_max_threads();
  // Nobody means more than kMostThreads: that is a slip, and the machine's number is right.
  const int wanted = asked > kMostThreads ? omp_get_num_procs() : asked;
  const int limit = std::max(1, omp_get_thread_limit());
  const int threads = most_that_start(std::min(wanted, limit));
  omp_set_num_threads(threads);
  const bool as_meant = threads == asked || (threads == limit && !flag && !variable);
  if (as_meant) return "";
  const char* who = flag ? "--threads" : variable ? "OMP_NUM_THREADS" : "this machine's processors";
  const std::string why = threads == limit   ? cat("OMP_THREAD_LIMIT is ", limit)
                          : wanted != asked  ? cat("at most ", kMostThreads, " make sense")
                          : threads < wanted ? "the system starts no more (limits on processes or "
                                               "memory, OMP_STACKSIZE)"
                                             : "";
  return cat(who, ": ", asked, " threads; ", why, ": computing on ", threads);
}

std::string go_on_with_threads(const CommonOptions& options, int saved) {
  std::string fewer;
  if (options.threads == 0 && !std::getenv("OMP_NUM_THREADS")) {
    CommonOptions as_before = options;
    as_before.threads = saved;
    fewer = settle_threads(as_before);
  }
  const int now = omp_get_max_threads();
  if (now == saved) return "";
  return cat(fewer.empty() ? "" : fewer + "; ", "the run had ", saved, " CPU threads and has ", now,
             " now: in bf16 on this CPU its bits will not be those of an uninterrupted one");
}

}  // namespace haze::apps
