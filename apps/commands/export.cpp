// export.cpp — `haze export`: plain weights out of a checkpoint.
#include <cstdio>

#include "apps/checkpointing.h"
#include "apps/commands/commands.h"
#include "apps/sample_grid.h"

namespace haze::apps {

int run_export(const ExportOptions& options, Program program) {
  if (options.out.empty()) throw InputError("--out: not given; the safetensors file to write");
  const TrainedWeights trained = load_weights(options.checkpoint, options.ema, options.ema_asked);
  for (const std::string& message : trained.messages) program.console.warning(message);
  std::vector<engine::SafetensorsTensor> tensors;
  for (const engine::LoadedTensor& t : trained.tensors)
    tensors.push_back({t.name, t.shape, t.values.data()});
  write_output(options.out, std::move(tensors));
  program.console.info(cat(trained.path, ", step ", trained.meta.step, ": ", trained.tensors.size(),
                           " tensors, ", trained.ema ? "ema" : "raw", " weights"));
  if (options.out != "-") std::printf("%s\n", options.out.c_str());
  return 0;
}

}  // namespace haze::apps
