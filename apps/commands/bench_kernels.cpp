// bench_kernels.cpp — `haze bench kernels`: every kernel alone, against what the device reaches at
// best.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <unistd.h>

#include "apps/commands/bench.h"
#include "apps/config/find.h"
#include "apps/device.h"
#include "apps/json_writer.h"
#include "apps/version.h"
#include "engine/kernel_cases.h"
#include "kernels/common/device.h"
#include "kernels/common/explain.h"

namespace haze::apps {
namespace {

struct Row {
  std::string kernel, shape;
  const char* precision;
  std::vector<double> milliseconds;  // of one call, a sample each
  double bytes, flops;
  double median() const { return bench_quantile(milliseconds, 0.5); }
  double gbytes() const { return bytes / median() * 1e-6; }
  double tflops() const { return flops / median() * 1e-9; }
  /// Share of the nearer roof: what bandwidth or the matrix units allow.
  double share(const engine::Roof& roof) const {
    const double memory = bytes / roof.copy_bytes_per_s;
    const double matrix = roof.matrix_flops > 0 ? flops / roof.matrix_flops : 0;
    return std::max(memory, matrix) * 1e3 / median();
  }
};

/// "n=64,h=16,c=128,co=128"; what is left out keeps its default, co follows c.
engine::KernelShape parse_shape(const std::string& text) {
  engine::KernelShape shape;
  bool co = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, end - at);
    const std::size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    int value = 0;
    const char* last = part.data() + part.size();
    const char* first = equals == part.npos ? last : part.data() + equals + 1;
    const auto [stop, error] = std::from_chars(first, last, value);
    int* to = key == "n"    ? &shape.n
              : key == "h"  ? &shape.h
              : key == "c"  ? &shape.c
              : key == "co" ? &shape.co
                            : nullptr;
    if (!to || error != std::errc() || stop != last || value < 1)
      throw InputError(cat("--shape: ", part, "; n=, h=, c= or co= and a whole number from 1"));
    *to = value;
    co |= key == "co";
    at = end + 1;
  }
  if (!co) shape.co = shape.c;
  return shape;
}

std::vector<std::string> choose(const std::vector<std::string>& wanted) {
  const auto all = engine::kernel_case_names();
  if (wanted.empty()) return all;
  std::vector<std::string> chosen;
  for (const std::string& name : wanted) {
    const std::size_t before = chosen.size();
    for (const std::string& known : all)
      if (known == name || known.starts_with(name + ".")) chosen.push_back(known);
    if (chosen.size() == before)
      for (const std::string& known : all)
        if (known.starts_with(name)) chosen.push_back(known);
    if (chosen.size() == before)
      throw InputError(cat("--kernel: ", name, "; haze bench kernels --list names them"));
  }
  return chosen;
}

/// Samples of about five milliseconds each, or a single call where the emulator runs it.
Row measure(engine::Context& context, const engine::KernelCase& at, const std::string& shape,
            bool emulated) {
  Row row{at.kernel, shape, name_of(context.activations), {}, at.bytes, at.flops};
  at.run();  // warm
  const double once = engine::time_milliseconds(context, 1, at.run);
  const int times = emulated ? 1 : std::clamp(int(5 / std::max(once, 1e-4)), 1, 200);
  for (int i = 0; i < (emulated ? 1 : 15); ++i)
    row.milliseconds.push_back(engine::time_milliseconds(context, times, at.run) / times);
  return row;
}

void print_json(const std::vector<Row>& rows, const engine::Roof& roof, const Stream& stream,
                const Program& program) {
  JsonWriter w;
  w.begin_object().field("schema", "haze-bench/1").field("what", "kernels");
  w.key("meta").begin_object().field("version", version()).field("commit", commit());
  w.key("argv").begin_array();
  for (const std::string& argument : program.arguments) w.value(argument);
  w.end_array().end_object().field("device", device_description(stream));
  w.key("roof").begin_object().field("copy_GBs", roof.copy_bytes_per_s * 1e-9);
  w.field("mma_TFLOPs", roof.matrix_flops * 1e-12).end_object().key("results").begin_array();
  for (const Row& row : rows) {
    w.begin_object().field("kernel", row.kernel).field("impl", "haze").field("shape", row.shape);
    w.field("dtype", row.precision).field("bytes", row.bytes).field("flops", row.flops);
    w.field("median_ns", row.median() * 1e6).key("samples_ns").begin_array();
    for (const double ms : row.milliseconds) w.value(ms * 1e6);
    w.end_array().end_object();
  }
  std::puts(w.end_array().end_object().text().c_str());
}

void print_table(const std::vector<Row>& rows, const engine::Roof& roof, const Stream& stream) {
  std::printf("%s\n", device_description(stream).c_str());
  std::printf("copy %.1f GB/s", roof.copy_bytes_per_s * 1e-9);
  if (roof.matrix_flops > 0)
    std::printf(", bf16 matrix units %.1f TFLOP/s", roof.matrix_flops * 1e-12);
  std::printf(
      "; both measured in this run\n\n| kernel | shape | dtype | impl | median us | p20-p80 us "
      "| GB/s | TFLOP/s | %% roof | n |\n|---|---|---|---|---|---|---|---|---|---|\n");
  for (const Row& row : rows)
    std::printf("| %s | %s | %s | haze | %.1f | %.1f-%.1f | %.1f | %.2f | %.0f | %zu |\n",
                row.kernel.c_str(), row.shape.c_str(), row.precision, row.median() * 1e3,
                bench_quantile(row.milliseconds, 0.2) * 1e3,
                bench_quantile(row.milliseconds, 0.8) * 1e3, row.gbytes(), row.tflops(),
                row.share(roof) * 100, row.milliseconds.size());
}

/// Prints the trace of one call in the emulator. Where this program's kernels are not traced, the
/// program beside it whose kernels are takes over.
int explain(const BenchOptions& options, const Program& program) {
  const auto explainer = kernels::explainer();
  if (!explainer) {
    const auto self = std::filesystem::read_symlink("/proc/self/exe");
    const std::string traced = (self.parent_path() / "haze-traced").string();
    std::vector<std::string> arguments = program.arguments;
    arguments[0] = traced;
    std::vector<char*> words;
    for (std::string& argument : arguments) words.push_back(argument.data());
    words.push_back(nullptr);
    ::execv(traced.c_str(), words.data());
    throw InputError(
        "--explain: this build has no traced kernels; build the preset simt, there is "
        "haze-traced beside haze");
  }
  const std::vector<std::string> names = choose({options.explain});
  const RunConfig config = resolve(options.settings);
#if defined(HAZE_CUDA)
  engine::Context context(kernels::open_cuda(0), config.activations());
#else
  engine::Context context(CpuStream{}, config.activations());
#endif
  const engine::KernelShape shape =
      parse_shape(options.shapes.empty() ? "n=2,h=8,c=32,co=32" : options.shapes.front());
  for (const std::string& name : names) {
    const engine::KernelCase at = engine::kernel_case(context, name, shape);
    engine::synchronise(context);
    std::printf("%s, %s, %s\n\n", name.c_str(), shape.str().c_str(), name_of(context.activations));
    std::printf("%s\n", explainer([&] {
                          at.run();
                          engine::synchronise(context);
                        }).c_str());
  }
  return 0;
}

}  // namespace

int bench_kernels(const BenchOptions& options, Program program) {
  if (!options.explain.empty()) return explain(options, program);
  if (options.list) {
    for (const std::string& name : engine::kernel_case_names()) std::puts(name.c_str());
    return 0;
  }
  const std::vector<std::string> names = choose(options.kernels);
  std::vector<std::string> shapes = options.shapes;
  if (shapes.empty()) shapes = {""};
  const RunConfig config = resolve(options.settings);
  const Stream stream = open_device(program.common);
  const bool emulated = device_description(stream).find("emulator") != std::string::npos;
  engine::Context context(stream, config.activations());
  const engine::Roof roof = engine::measure_roof(context);
  std::vector<Row> rows;
  for (const std::string& text : shapes) {
    const engine::KernelShape shape = parse_shape(text);
    for (const std::string& name : names) {
      program.console.detail(cat("timing ", name, " ", shape.str()));
      rows.push_back(
          measure(context, engine::kernel_case(context, name, shape), shape.str(), emulated));
    }
  }
  if (emulated)
    program.console.warning(
        "the emulator's times say nothing about a GPU; --explain shows what it knows");
  options.json ? print_json(rows, roof, stream, program) : print_table(rows, roof, stream);
  return 0;
}

}  // namespace haze::apps
