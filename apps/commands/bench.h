// bench.h — the parts of `haze bench`.
#pragma once
#include <vector>

#include "apps/commands/commands.h"

namespace haze::apps {

int bench_steps(const BenchOptions& options, Program program);
int bench_kernels(const BenchOptions& options, Program program);

/// The value below which a share q of the samples lies.
double bench_quantile(std::vector<double> samples, double q);

}  // namespace haze::apps
