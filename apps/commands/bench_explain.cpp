// SPDX-License-Identifier: MIT
// bench_explain.cpp — `haze bench kernels --explain`: the trace of one call in the emulator.
#include <cstdio>
#include <filesystem>
#include <unistd.h>

#include "apps/commands/bench.h"
#include "apps/commands/bench_choice.h"
#include "apps/config/find.h"
#include "apps/device.h"
#include "apps/standard_output.h"
#include "engine/device.h"
#include "kernels/base/explain.h"

namespace haze::apps {

int explain_kernel(const BenchOptions& options, const Program& program) {
  const std::vector<ChosenKernel> all = choose_kernels("--explain", {options.explain});
  const auto shapes = kernel_shapes(options.shapes, {2, 8, 32, 32});
  const auto explainer = kernels::explainer();
  if (!explainer) {
    std::error_code none;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", none);
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
  const RunConfig config = resolve(options.settings);
  engine::Context context(in_precision(engine::open_cuda(0), config.precision, "train.precision"),
                          config.activations());
  for (const engine::KernelShape& shape : shapes)
    for (const ChosenKernel& chosen : all) {
      const engine::KernelCase at = engine::kernel_case(context, chosen.kernel, shape);
      const auto run = chosen.all ? at.run : chosen_peers(chosen, at).front().run;
      engine::synchronise(context);
      print_formatted("%s%s, %s, %s\n\n", chosen.kernel.c_str(),
                      chosen.all ? "" : ("/" + chosen.versions.front()).c_str(),
                      shape.str().c_str(), name_of(config.precision));
      print_formatted("%s\n", explainer([&] {
                                run();
                                engine::synchronise(context);
                              }).c_str());
    }
  return 0;
}

}  // namespace haze::apps
