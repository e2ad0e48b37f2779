// SPDX-License-Identifier: MIT
// bench.h — the parts of `haze bench`.
#pragma once
#include <string>
#include <vector>

#include "apps/command.h"
#include "apps/json_writer.h"

namespace haze::apps {

struct BenchOptions {
  std::string what, config, out;
  std::string before, after;  // of compare: files
  double fail_on = -1;        // percent; below 0: never
  Settings settings;
  int steps = 20, warmup = 4;
  bool json = false, fusion = true;
  // kernels
  std::vector<std::string> kernels;  // names or their beginnings; empty: all
  std::vector<std::string> shapes;   // "n=64,h=16,c=128,co=128"
  std::string explain;               // a kernel to trace instead of timing it
  bool list = false;
};

int bench_steps(const BenchOptions& options, const Program& program);
int bench_kernels(const BenchOptions& options, const Program& program);
/// Prints the trace of one call of options.explain in the emulator. Where this program's kernels
/// are not traced, the program beside it whose kernels are takes over.
int explain_kernel(const BenchOptions& options, const Program& program);

/// The value below which a share q of the samples lies.
double bench_quantile(std::vector<double> samples, double q);
/// Begins the JSON document of a measurement: what it is of, the program, the device.
JsonWriter bench_document(const BenchOptions& options, const Stream& stream,
                          const Program& program);
/// Where the options want the JSON document of a measurement: standard output, a file.
void bench_deliver(const BenchOptions& options, const std::string& json);
/// Compares the results of two files of --out. Returns 1 if options.fail_on says so.
int bench_compare(const BenchOptions& options, const Program& program);

}  // namespace haze::apps
