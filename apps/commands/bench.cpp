// bench.cpp — `haze bench`: what is timed, and how samples become figures.
#include "apps/commands/bench.h"

#include <algorithm>

namespace haze::apps {

double bench_quantile(std::vector<double> samples, double q) {
  std::ranges::sort(samples);
  return samples[std::min(samples.size() - 1, std::size_t(q * double(samples.size())))];
}

int run_bench(const BenchOptions& options, Program program) {
  if (options.what == "kernels") return bench_kernels(options, program);
  if (options.what == "step" || options.what == "sample") return bench_steps(options, program);
  throw InputError(cat("bench: ", options.what.empty() ? "nothing" : options.what,
                       "; what to time is step, sample or kernels"));
}

}  // namespace haze::apps
