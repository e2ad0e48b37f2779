// SPDX-License-Identifier: MIT
// export.cpp — `haze export`: plain weights out of a checkpoint.
#include <cstdio>

#include "apps/checkpointing.h"
#include "apps/command.h"
#include "apps/flag_groups.h"
#include "apps/sample_grid.h"
#include "apps/standard_output.h"

namespace haze::apps {
namespace {

struct ExportOptions {
  std::string checkpoint, out;
  bool ema = true, ema_asked = false;
};

void add_flags(Flags& flags, ExportOptions& e) {
  flags.input("--checkpoint", e.checkpoint, "PATH",
              "a run folder (its newest good checkpoint) or a file");
  weights_flag(flags, e.ema, e.ema_asked);
  flags.output("--out", e.out, OutputKind::tensors, "FILE|-", "safetensors file to write");
}

int run(const ExportOptions& options, const Program& program) {
  if (options.out.empty()) throw InputError("--out: not given; the safetensors file to write");
  const TrainedWeights trained = load_weights(options.checkpoint, options.ema, options.ema_asked);
  for (const std::string& message : trained.messages) program.console.warning(message);
  std::vector<engine::SafetensorsTensor> tensors;
  for (const engine::LoadedTensor& t : trained.tensors)
    tensors.push_back({t.name, t.shape, t.values.data()});
  write_output(options.out, std::move(tensors));
  program.console.info(cat(trained.path, ", step ", trained.meta.step, ": ", trained.tensors.size(),
                           " tensors, ", trained.ema ? "ema" : "raw", " weights"));
  if (options.out != "-") print_line(options.out);
  return 0;
}

}  // namespace

Command export_command() {
  return {
      .name = "export",
      .summary = "write plain weights under their system's own names",
      .examples = R"(  haze export --checkpoint runs/demo --out demo.safetensors
  haze export --checkpoint runs/demo/checkpoints/step-00001000.safetensors --weights raw \
      --out raw.safetensors
)",
      .about =
          R"(Writes the network's weights in PyTorch's layout, named as in the system that they come from.)",
      .action = {add_flags, run}};
}

}  // namespace haze::apps
