// bench.cpp — `haze bench`: what is timed, and how samples become figures.
#include "apps/commands/bench.h"

#include <algorithm>
#include <cstdio>

#include "apps/device.h"
#include "apps/sample_grid.h"
#include "apps/version.h"

namespace haze::apps {

double bench_quantile(std::vector<double> samples, double q) {
  std::ranges::sort(samples);
  return samples[std::min(samples.size() - 1, std::size_t(q * double(samples.size())))];
}

JsonWriter bench_document(const BenchOptions& options, const Stream& stream,
                          const Program& program) {
  JsonWriter w;
  w.begin_object().field("schema", "haze-bench/1").field("what", options.what);
  w.key("meta").begin_object().field("version", version()).field("commit", commit());
  w.key("argv").begin_array();
  for (const std::string& argument : program.arguments) w.value(argument);
  w.end_array().end_object().field("device", device_description(stream));
  return w;
}

void bench_deliver(const BenchOptions& options, const std::string& json) {
  const std::string line = json + "\n";
  if (options.json) std::fputs(line.c_str(), stdout);
  if (!options.out.empty())
    write_output(options.out, std::vector<std::uint8_t>(line.begin(), line.end()));
}

int run_bench(const BenchOptions& options, Program program) {
  const CommonOptions& common = program.common;
  if (options.what == "compare") {
    common.refuse({"--config", "--set", "--batch", "--precision", "--steps", "--warmup", "--kernel",
                   "--shape", "--explain", "--list", "--out", "--device", "--threads", "--fusion"},
                  options.what, "which computes nothing");
    return bench_compare(options, program);
  }
  if (!options.before.empty())
    throw InputError(cat("bench ", options.what, ": ", options.before, "; files are for compare"));
  if (options.out == "-") throw InputError("--out: -; a file: --json prints the document");
  common.refuse({"--fail-on"}, cat("bench ", options.what), "it belongs to compare");
  if (options.what == "kernels") {
    common.refuse({"--config", "--batch", "--steps", "--warmup", "--fusion"}, options.what,
                  "it belongs to step and sample");
    if (options.list)
      common.refuse({"--kernel", "--shape", "--explain", "--json", "--out"}, "--list",
                    "names alone");
    if (!options.explain.empty())
      common.refuse({"--kernel", "--json", "--out"}, "--explain", "one of the two");
    return bench_kernels(options, program);
  }
  if (options.what == "step" || options.what == "sample") {
    common.refuse({"--kernel", "--shape", "--explain", "--list"}, options.what,
                  "it belongs to kernels");
    if (options.what == "sample")
      common.refuse({"--warmup"}, options.what, "a whole chain goes before those that are timed");
    return bench_steps(options, program);
  }
  throw InputError(
      cat("bench: ", options.what.empty() ? "nothing" : options.what,
          "; what to time is step, sample or kernels; compare holds two results together"));
}

}  // namespace haze::apps
