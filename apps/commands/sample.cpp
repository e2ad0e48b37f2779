// sample.cpp — `haze sample`: images from a checkpoint.
#include <cstdio>

#include "apps/commands/commands.h"
#include "apps/device.h"
#include "apps/sample_grid.h"
#include "apps/sampling.h"
#include "apps/trained_model.h"
#include "engine/files/new_file.h"
#include "model/weights.h"

namespace haze::apps {
namespace {

void save_tensors(const std::string& path, const std::vector<float>& values, int n,
                  const RunConfig& config, const std::string& recipe) {
  const int c = config.model.image_channels, h = config.data.image_size[0],
            w = config.data.image_size[1];
  const auto nchw = model::nhwc_to_nchw(values, n, c, h, w);
  engine::make_directories(engine::disk(), engine::directory_of(path));
  engine::write_safetensors(engine::disk(), path, {{"samples", {n, c, h, w}, nchw.data()}},
                            {{"format", "pt"},
                             {"haze", recipe},
                             {"range", config.data.range == DataRange::zero_one ? "0,1" : "-1,1"}});
}

/// The combinations of --sampler all and --steps 10,20: each a row of the picture.
std::vector<SampleOptions> compared(const SampleOptions& options) {
  std::vector<SampleOptions> rows;
  std::vector<std::string> samplers = {options.sampler};
  if (options.sampler == "all") {
    samplers.clear();
    for (const auto kind : kSamplers) samplers.emplace_back(name_of(kind));
  }
  const std::vector<int> steps =
      options.all_steps.empty() ? std::vector{options.steps} : options.all_steps;
  for (const std::string& sampler : samplers)
    for (const int n : steps) {
      SampleOptions row = options;
      row.sampler = sampler;
      row.steps = n;
      row.all_steps = {n};
      if (options.sampler == "all" && sampler != "ddim") row.eta = 0;
      rows.push_back(row);
    }
  return rows;
}

}  // namespace

int run_sample(const SampleOptions& options, Program program) {
  Console& console = program.console;
  const Stream stream = open_device(program.common);
  TrainedModel trained(options, stream, console);
  const RunConfig& config = trained.config();
  const auto channels = config.model.image_channels;
  if (!options.out.empty() && options.save_tensors.empty() && !has_picture(config))
    throw InputError(
        cat("model.image_channels: ", channels, "; a picture has 1 or 3; use --save-tensors"));
  const std::vector<SampleOptions> rows = compared(options);
  trained.fit_threads(program.common, options.batch);
  if (!options.animation.empty() && (rows.size() > 1 || !has_picture(config)))
    throw InputError(cat("--animation: ", options.animation,
                         rows.size() > 1 ? "; it shows one sampler with one number of steps"
                                         : "; images of 1 or 3 channels, or 2-D points"));
  Film film;
  std::vector<float> values;
  model::SampleOptions sampler;
  for (const SampleOptions& row : rows) {
    sampler = sampler_options(row, config, console);
    if (!options.animation.empty()) sampler = film.watching(sampler, config, options.n);
    console.info(cat(trained.name(), "; ", options.n, " images, ", row.sampler, " ", sampler.steps,
                     " steps, seed ", options.seed));
    const auto drawn =
        model::sample(trained.context, *trained.network, config.diffusion, options.n,
                      config.data.image_size[0], config.data.image_size[1], channels, sampler);
    values.insert(values.end(), drawn.begin(), drawn.end());
    console.clear_bar();
  }
  const int n = options.n * int(rows.size()), columns = rows.size() > 1 ? options.n : 0;
  Recipe recipe = trained.recipe(options, sampler, n);
  for (std::size_t k = 0; rows.size() > 1 && k < rows.size(); ++k)
    recipe.rows.push_back(cat(rows[k].sampler, " ", rows[k].steps));
  if (!options.save_tensors.empty())
    save_tensors(options.save_tensors, values, n, config, to_json(recipe));
  if (has_picture(config)) {
    write_output(options.out, grid_png(values, n, config, to_json(recipe), columns));
    if (options.out != "-") std::printf("%s\n", options.out.c_str());
  }
  if (!options.animation.empty()) {
    film.write(options.animation, to_json(recipe));
    if (options.out != "-") std::printf("%s\n", options.animation.c_str());
  }
  if (!options.save_tensors.empty() && options.out != "-")
    std::printf("%s\n", options.save_tensors.c_str());
  return 0;
}

}  // namespace haze::apps
