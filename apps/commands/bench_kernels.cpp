// SPDX-License-Identifier: MIT
// bench_kernels.cpp — `haze bench kernels`: every kernel alone, and its share of what the device
// reaches at best.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>

#include "apps/commands/bench.h"
#include "apps/commands/bench_choice.h"
#include "apps/config/find.h"
#include "apps/device.h"
#include "apps/standard_output.h"

namespace haze::apps {
namespace {

/// Milliseconds of one call, a sample each.
struct Samples {
  std::vector<double> milliseconds;
  double quantile(double q) const { return bench_quantile(milliseconds, q); }
  double median() const { return quantile(0.5); }
};

struct Row {
  std::string kernel, impl, shape;
  const char* precision;
  double bytes, flops;
  Samples cold, hot;  // with the caches full of something else, and one call straight after another
  // Of what is not the shipped kernel: its cold time over the shipped kernel's, and how far its
  // result is from the shipped kernel's (engine::difference).
  double ratio = 1, difference = 0;
  double gbytes() const { return bytes / cold.median() * 1e-6; }
  double tflops() const { return flops / cold.median() * 1e-9; }
  /// Share of the nearer roof: what bandwidth or the matrix units allow.
  double share(const engine::Roof& roof) const {
    const double memory = bytes / roof.copy_bytes_per_s;
    const double matrix = roof.matrix_flops > 0 ? flops / roof.matrix_flops : 0;
    return std::max(memory, matrix) * 1e3 / cold.median();
  }
};

/// What the rows have in common.
struct Run {
  Stream stream;
  const char* precision;
  bool emulated;
  engine::Roof roof;
  std::optional<engine::TimerCheck> timers;
  engine::ColdTimer cold;
  std::vector<std::string> baselines;
};

constexpr int kSamples = 15;

/// Fills in the times of all rows, rows[i] of runs[i], in turns: should the clock of the device
/// change, then for all of them. A hot sample is the mean of as many calls as take about five
/// milliseconds; the emulator runs a single call of each.
void sample(engine::Context& context, const std::vector<std::function<void()>>& runs,
            const Run& run, std::span<Row> rows) {
  std::vector<int> times;
  for (const auto& call : runs) {
    call();  // warm
    const double once = engine::time_milliseconds(context, 1, call);
    times.push_back(run.emulated ? 1 : std::clamp(int(5 / std::max(once, 1e-4)), 1, 200));
  }
  for (int k = 0; k < (run.emulated ? 1 : kSamples); ++k) {
    for (std::size_t i = 0; i < runs.size(); ++i)
      rows[i].hot.milliseconds.push_back(engine::time_milliseconds(context, times[i], runs[i]) /
                                         times[i]);
    for (std::size_t i = 0; i < runs.size(); ++i)
      rows[i].cold.milliseconds.push_back(run.cold(runs[i]));
  }
  const auto& shipped = rows[0].cold.milliseconds;
  for (Row& row : rows) {
    std::vector<double> ratios;
    for (std::size_t k = 0; k < shipped.size(); ++k)
      ratios.push_back(row.cold.milliseconds[k] / shipped[k]);
    row.ratio = bench_quantile(ratios, 0.5);
  }
}

/// Of results in bf16 or tf32, which differ by the rounding of what is multiplied, the root mean
/// square of the difference stays below this; that of another computation is about 1.
constexpr double kSameResult = 0.02;

struct Table {
  std::vector<Row> rows;
  std::vector<std::string> doubts;  // said at the end, not between the rows
};

/// Appends the shipped kernel and the peers that were chosen with it.
void measure(engine::Context& context, const ChosenKernel& chosen, const engine::KernelShape& shape,
             const Run& run, Table& table) {
  const engine::KernelCase at = engine::kernel_case(context, chosen.kernel, shape);
  const std::vector<engine::Peer> peers = chosen_peers(chosen, at);
  const Row shipped{at.kernel, "haze", shape.str(), run.precision, at.bytes, at.flops, {}, {}};
  const std::string what = cat(at.kernel, ", ", shipped.shape, ", ", shipped.precision, ": ");
  std::vector<std::function<void()>> runs{at.run};
  std::vector<Row> rows{shipped};
  for (const engine::Peer& peer : peers) {
    Row row = shipped;
    row.impl = peer.impl;
    row.difference = engine::difference(context, at, peer);
    if (!(row.difference <= kSameResult))
      table.doubts.push_back(
          cat(what, "the result of ", peer.impl, " is not that of haze; its time says nothing"));
    runs.push_back(peer.run);
    rows.push_back(row);
  }
  sample(context, runs, run, rows);
  table.rows.insert(table.rows.end(), rows.begin(), rows.end());
  for (const std::string& why : at.without) table.doubts.push_back(what + why);
}

/// The whole document; `w` has its beginning, of bench_document.
std::string json_of(const std::vector<Row>& rows, const Run& run, JsonWriter w) {
  w.key("roof").begin_object().field("copy_GBs", run.roof.copy_bytes_per_s * 1e-9);
  w.field("mma_TFLOPs", run.roof.matrix_flops * 1e-12).end_object();
  if (run.timers) {
    w.key("timers").begin_object();
    w.field("empty_hot_ns", run.timers->empty_hot * 1e6);
    w.field("empty_cold_ns", run.timers->empty_cold * 1e6);
    w.field("lengthy_hot_ns", run.timers->lengthy_hot * 1e6);
    w.field("lengthy_cold_ns", run.timers->lengthy_cold * 1e6).end_object();
  }
  w.key("baselines").begin_array();
  for (const std::string& library : run.baselines) w.value(library);
  w.end_array().key("results").begin_array();
  for (const Row& row : rows) {
    w.begin_object().field("kernel", row.kernel).field("impl", row.impl).field("shape", row.shape);
    w.field("dtype", row.precision).field("bytes", row.bytes).field("flops", row.flops);
    w.field("ratio", row.ratio).field("difference", row.difference);
    for (const auto& [name, samples] : {std::pair{"cold", &row.cold}, {"hot", &row.hot}}) {
      w.key(name).begin_object().field("median_ns", samples->median() * 1e6);
      w.key("samples_ns").begin_array();
      for (const double ms : samples->milliseconds) w.value(ms * 1e6);
      w.end_array().end_object();
    }
    w.end_object();
  }
  return w.end_array().end_object().text();
}

void print_head(const Run& run) {
  for (const std::string& library : run.baselines) print_line(library);
  print_line(device_description(run.stream));
  print_formatted("copy %.1f GB/s", run.roof.copy_bytes_per_s * 1e-9);
  if (run.roof.matrix_flops > 0)
    print_formatted(", bf16 matrix units %.1f TFLOP/s", run.roof.matrix_flops * 1e-12);
  if (run.timers)
    print_formatted(
        "; an empty kernel %.1f us hot and %.1f us cold, one of %.3f ms cold %.3f ms hot",
        run.timers->empty_hot * 1e3, run.timers->empty_cold * 1e3, run.timers->lengthy_cold,
        run.timers->lengthy_hot);
  print_formatted(
      "; all measured in this run\n\n| kernel | shape | dtype | impl | cold us | p20-p80 us "
      "| hot us | GB/s | TFLOP/s | %% roof | n | time / haze | differs |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
}

/// Each as soon as it is measured: all kernels in every version take a while.
void print_rows(std::span<const Row> rows, const Run& run) {
  for (const Row& row : rows) {
    print_formatted("| %s | %s | %s | %s | %.1f | %.1f-%.1f | %.1f | %.1f | %.2f | %.0f | %zu |",
                    row.kernel.c_str(), row.shape.c_str(), row.precision, row.impl.c_str(),
                    row.cold.median() * 1e3, row.cold.quantile(0.2) * 1e3,
                    row.cold.quantile(0.8) * 1e3, row.hot.median() * 1e3, row.gbytes(),
                    row.tflops(), row.share(run.roof) * 100, row.cold.milliseconds.size());
    if (row.impl == "haze")
      print_formatted(" | |\n");
    else
      print_formatted(" %.2f | %.1e |\n", row.ratio, row.difference);
  }
  flush_standard_output();
}

/// The names, a line each, below what a shape's letters mean to those that follow.
std::string list_of_kernels() {
  std::string text, last;
  for (const std::string& name : engine::kernel_case_names()) {
    const std::string reading = engine::shape_reading(name.substr(0, name.find('/')));
    if (reading != last) text += cat("# ", reading, "\n");
    text += name + "\n";
    last = reading;
  }
  return text;
}

}  // namespace

int bench_kernels(const BenchOptions& options, const Program& program) {
  if (!options.explain.empty()) return explain_kernel(options, program);
  if (options.list) {
    print(list_of_kernels());
    return 0;
  }
  const std::vector<ChosenKernel> chosen = choose_kernels("--kernel", options.kernels);
  const std::vector<engine::KernelShape> shapes = kernel_shapes(options.shapes, {});
  const RunConfig config = resolve(options.settings);
  const Stream stream =
      in_precision(open_device(program.common), config.precision, "train.precision");
  engine::Context context(stream, config.activations());
  const auto cuda = engine::cuda_info(stream);
  Run run{stream,
          name_of(config.precision),
          cuda && cuda->emulated,
          engine::measure_roof(context),
          engine::check_timers(context),
          engine::cold_timer(context),
          {}};
  if (!std::holds_alternative<CpuStream>(stream) && !run.emulated)
    run.baselines = engine::describe_baselines();
  if (run.emulated)
    program.console.warning(
        "the emulator's times say nothing about a GPU; --explain shows what it knows");
  if (!options.json) print_head(run);
  Table table;
  for (const engine::KernelShape& shape : shapes)
    for (const ChosenKernel& one : chosen) {
      program.console.detail(cat("timing ", one.kernel, " ", shape.str()));
      const std::size_t before = table.rows.size();
      measure(context, one, shape, run, table);
      if (!options.json) print_rows(std::span(table.rows).subspan(before), run);
    }
  bench_deliver(options, json_of(table.rows, run, bench_document(options, stream, program)));
  for (const std::string& doubt : table.doubts) program.console.warning(doubt);
  return 0;
}

}  // namespace haze::apps
