// SPDX-License-Identifier: MIT
// cpu_threads.h — as many CPU threads as are asked for and come. A library that divides its work
// among more threads than a parallel region gets waits for ever for the others.
#pragma once
#include <string>

#include "apps/common_options.h"

namespace haze::apps {

constexpr int kMostThreads = 4096;  // of --threads

/// Sets the number of threads of every parallel region: --threads, else OMP_NUM_THREADS, else the
/// machine's, as far as OMP_THREAD_LIMIT and the system's limits on processes and memory let them
/// start. OMP_DYNAMIC and OMP_MAX_ACTIVE_LEVELS, which let a region have fewer, no longer count. To
/// be called by the main thread, before the first region. Returns a warning where there are fewer
/// than were asked for, else "".
std::string settle_threads(const CommonOptions& options);

/// For a run that goes on, and whose bits depend on the `saved` threads that it had: sets as many,
/// unless --threads or OMP_NUM_THREADS ask for another number. Returns a warning where there are now
/// more or fewer, else "". To be called when settle_threads may be.
std::string go_on_with_threads(const CommonOptions& options, int saved);

}  // namespace haze::apps
