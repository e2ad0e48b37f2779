// sample.cpp — `haze sample`: images from a checkpoint.
#include <cstdio>
#include <filesystem>

#include "apps/checkpointing.h"
#include "apps/commands/commands.h"
#include "apps/device.h"
#include "apps/sample_grid.h"
#include "engine/files/new_file.h"
#include "model/weights.h"

namespace haze::apps {
namespace {

/// A tensor [steps?,n,C,H,W] of the given file as haze lays it out.
std::vector<float> given(const engine::SafetensorsReader& file, const char* name, int n, int c,
                         int h, int w, int steps) {
  const engine::SafetensorsEntry& entry = file.at(name);
  std::vector<std::int64_t> want = {n, c, h, w};
  if (steps > 0) want.insert(want.begin(), steps);
  if (entry.shape != want) {
    std::string text;
    for (const auto extent : want) text += (text.empty() ? "[" : ",") + std::to_string(extent);
    throw InputError(
        cat(file.path(), ": ", name, ": ", entry.shape_text(), "; ", text, "] for these options"));
  }
  return model::nchw_to_nhwc(file.read_f32(entry), n * std::max(steps, 1), c, h, w);
}

model::SampleOptions sampler_options(const SampleOptions& o, const RunConfig& config,
                                     Console& console) {
  model::SampleOptions s;
  s.kind = o.sampler == "ddim" ? model::SamplerKind::ddim : model::SamplerKind::ddpm;
  if (s.kind == model::SamplerKind::ddpm && o.eta != 0)
    throw InputError(cat("--eta: ", o.eta, "; it belongs to --sampler ddim"));
  s.steps = o.steps > 0 ? o.steps : config.diffusion.steps;
  if (s.steps > config.diffusion.steps)
    throw InputError(cat("--steps: ", s.steps, "; at most the chain's ", config.diffusion.steps));
  s.low = config.data.range == DataRange::zero_one ? 0 : -1;
  s.eta = o.eta, s.seed = o.seed, s.batch = std::min(o.batch, o.n);
  if (!o.noise.empty()) {
    const engine::SafetensorsReader file(engine::disk(), o.noise);
    const int c = config.model.image_channels, h = config.data.image_size[0],
              w = config.data.image_size[1];
    s.x_T = given(file, "x_T", o.n, c, h, w, 0);
    if (file.has("z")) s.z = given(file, "z", o.n, c, h, w, s.steps);
  }
  const int batches = (o.n + s.batch - 1) / s.batch;
  s.progress = [&console, batches, start = std::chrono::steady_clock::now(), calls = 0](
                   int done, int total) mutable {
    ++calls;
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double rate = calls / std::max(seconds, 1e-9), all = double(batches) * total;
    char speed[40];
    if (rate >= 1)
      std::snprintf(speed, sizeof speed, "it/s %.2f", rate);
    else
      std::snprintf(speed, sizeof speed, "s/it %.2f", 1 / rate);
    console.progress(calls / all,
                     cat("step ", done, " of ", total, " batch ", (calls - 1) / total + 1, " of ",
                         batches, " ", speed, " left ", duration((all - calls) / rate)),
                     calls >= all);
    return true;
  };
  return s;
}

void save_tensors(const std::string& path, const std::vector<float>& values, int n,
                  const RunConfig& config, const std::string& recipe) {
  const int c = config.model.image_channels, h = config.data.image_size[0],
            w = config.data.image_size[1];
  const auto nchw = model::nhwc_to_nchw(values, n, c, h, w);
  engine::make_directories(engine::disk(), engine::directory_of(path));
  engine::write_safetensors(engine::disk(), path, {{"samples", {n, c, h, w}, nchw.data()}},
                            {{"format", "pt"}, {"haze", recipe}});
}

}  // namespace

int run_sample(const SampleOptions& options, Program program) {
  Console& console = program.console;
  const Stream stream = open_device(program.common);
  TrainedWeights trained = load_weights(options.checkpoint, options.ema, options.ema_asked);
  for (const std::string& message : trained.messages) console.warning(message);
  const RunConfig& config = trained.config;
  if (config.data.image_size.size() != 2)
    throw InputError(cat(trained.path, ": data.image_size: []; [height, width]"));
  const auto channels = config.model.image_channels;
  if (!options.out.empty() && options.save_tensors.empty() && channels != 1 && channels != 3)
    throw InputError(
        cat("model.image_channels: ", channels, "; a picture has 1 or 3; use --save-tensors"));
  const model::SampleOptions sampler = sampler_options(options, config, console);
  const DType activations = options.precision.empty()     ? config.activations()
                            : options.precision == "bf16" ? DType::bf16
                                                          : DType::f32;
  const auto network = make_trained_network(trained, stream, activations);
  engine::Context context(stream, activations);
  context.fusion = options.fusion;
  console.info(cat(trained.path, ", step ", trained.meta.step, ", ", trained.ema ? "ema" : "raw",
                   " weights; ", options.n, " images, ", options.sampler, " ", sampler.steps,
                   " steps, seed ", options.seed));
  const std::vector<float> values =
      model::sample(context, *network, config.diffusion, options.n, config.data.image_size[0],
                    config.data.image_size[1], channels, sampler);
  console.clear_bar();
  const Recipe recipe{
      std::filesystem::path(options.checkpoint + "/").parent_path().filename().string(),
      trained.meta.step, trained.ema, sampler, options.n};
  if (!options.save_tensors.empty())
    save_tensors(options.save_tensors, values, options.n, config, to_json(recipe));
  if (channels == 1 || channels == 3) {
    write_output(options.out, grid_png(values, options.n, config, to_json(recipe)));
    if (options.out != "-") std::printf("%s\n", options.out.c_str());
  }
  if (!options.save_tensors.empty() && options.out != "-")
    std::printf("%s\n", options.save_tensors.c_str());
  return 0;
}

}  // namespace haze::apps
