// SPDX-License-Identifier: MIT
// sample.cpp — `haze sample`: images from a checkpoint.
#include <cstdio>

#include "apps/command.h"
#include "apps/device.h"
#include "apps/flag_groups.h"
#include "apps/memory_needs.h"
#include "apps/point_pictures.h"
#include "apps/sample_grid.h"
#include "apps/sampling.h"
#include "apps/standard_output.h"
#include "apps/trained_model.h"
#include "model/weights.h"

namespace haze::apps {
namespace {

void add_flags(Flags& flags, SampleOptions& s) {
  sampler_flags(flags, s, "ddpm", true);
  flags.group("Sampler");
  flags.input("--noise", s.noise, "FILE",
              "given noise: safetensors with x_T and, for ddpm and ddim, z");
  flags.group("Result");
  flags.output("--out", s.out, OutputKind::pictures, "FILE|-",
               "PNG grid; DIR/ or DIR/%05d.png: each its own [grid.png]");
  flags.boolean("--overwrite", s.overwrite,
                "replace the images of an earlier call that --out has in DIR");
  flags.output("--save-tensors", s.save_tensors, OutputKind::tensors, "FILE|-",
               "the images as safetensors: samples [n,C,H,W]");
  flags.output("--animation", s.animation, OutputKind::picture, "FILE|-",
               "animated PNG of the predictions along the chain; as one batch");
  metadata_flag(flags, s);
  compute_flags(flags, s.fusion);
  flags.number("--batch", s.batch, 1, 65536, "images per network call; changes no image [64]");
  flags.choice("--precision", s.precision, "of activations; tf32: on cuda [as trained]");
}

void save_tensors(const std::string& path, const std::vector<float>& values, int n,
                  const RunConfig& config, const std::string& recipe) {
  const int c = config.model.image_channels, h = config.data.image_size[0],
            w = config.data.image_size[1];
  const auto nchw = model::nhwc_to_nchw(values, n, c, h, w);
  engine::SafetensorsMetadata metadata = {
      {"format", "pt"}, {"range", config.data.range == DataRange::zero_one ? "0,1" : "-1,1"}};
  // Of very many images of classes the recipe is longer than metadata may be.
  if (!recipe.empty() && recipe.size() < engine::SafetensorsLimits::metadata_bytes / 2)
    metadata["haze"] = recipe;
  write_output(path, {{"samples", {n, c, h, w}, nchw.data()}}, metadata);
}

/// Each image as a file of its own, with its own recipe.
void write_each(const std::vector<std::string>& files, const std::vector<float>& values,
                const RunConfig& config, const Recipe& recipe, bool metadata) {
  const std::size_t size = values.size() / files.size();
  for (std::size_t k = 0; k < files.size(); ++k) {
    const auto first = values.begin() + std::ptrdiff_t(k * size);
    Recipe one = recipe;
    one.options.first_item += std::uint32_t(k);
    one.count = 1;
    if (!recipe.options.labels.empty()) one.options.labels = {recipe.options.labels[k]};
    write_output(files[k], grid_png({first, first + std::ptrdiff_t(size)}, 1, config,
                                    metadata ? to_json(one) : "", 1));
  }
}

/// The combinations of --sampler all and --steps 10,20: each a row of the picture.
std::vector<SampleOptions> compared(const SampleOptions& options) {
  std::vector<SampleOptions> rows;
  std::vector<model::SamplerKind> samplers;
  if (options.all_samplers)
    for (std::size_t k = 0; k < kWords<model::SamplerKind>.size(); ++k)
      samplers.push_back(model::SamplerKind(k));
  else
    samplers.push_back(options.sampler.value_or(model::SamplerKind::ddpm));
  const std::vector<int> steps =
      options.all_steps.empty() ? std::vector{options.steps} : options.all_steps;
  for (const model::SamplerKind sampler : samplers)
    for (const int n : steps) {
      SampleOptions row = options;
      row.sampler = sampler;
      row.steps = n;
      row.all_steps = {n};
      if (options.all_samplers && sampler != model::SamplerKind::ddim) row.eta = 0;
      rows.push_back(row);
    }
  return rows;
}

int run(const SampleOptions& options, const Program& program) {
  Console& console = program.console;
  const int pipes =
      (options.out == "-") + (options.save_tensors == "-") + (options.animation == "-");
  if (pipes > 1)
    throw InputError(
        "--out, --save-tensors, --animation: - given more than once; standard output takes one");
  const Stream stream = open_device(program.common);
  TrainedModel trained(options, stream, console);
  const RunConfig& config = trained.config();
  const auto channels = config.model.image_channels;
  if (!options.out.empty() && options.save_tensors.empty() && !has_picture(config))
    throw InputError(
        cat("model.image_channels: ", channels, "; a picture has 1 or 3; use --save-tensors"));
  const std::vector<SampleOptions> rows = compared(options);
  const std::vector<std::string> files = files_of_each(options.out, options.n);
  if (!files.empty() && (rows.size() > 1 || point_set_of(config.data.spec)))
    throw InputError(cat("--out: ", options.out, "; one picture for all of ",
                         rows.size() > 1 ? "a comparison" : "2-D points"));
  if (files.empty())
    program.common.refuse({"--overwrite"}, "a single file", "such a one is replaced anyway");
  const std::vector<std::string> earlier =
      earlier_images(options.out, options.n, options.overwrite);
  const int n = options.n * int(rows.size()), columns = rows.size() > 1 ? options.n : 0;
  if (files.empty() && has_picture(config)) check_picture(config, n, columns);
  if (!options.animation.empty() && has_picture(config)) check_picture(config, options.n);
  // Each row of a comparison may be refused: all but the first, which comes next, are looked at here.
  for (std::size_t k = 1; k < rows.size(); ++k)
    sampler_options(rows[k], config, trained.classes(), console);
  trained.fit_threads(program.common, options.batch);
  console.detail(computing_on(stream, trained.context.fusion));
  if (!options.animation.empty() && (rows.size() > 1 || !has_picture(config)))
    throw InputError(cat("--animation: ", options.animation,
                         rows.size() > 1 ? "; it shows one sampler with one number of steps"
                                         : "; images of 1 or 3 channels, or 2-D points"));
  Film film;
  std::vector<float> values;
  model::SamplingOptions sampler;
  for (const SampleOptions& row : rows) {
    sampler = sampler_options(row, config, trained.classes(), console);
    if (!options.animation.empty()) sampler = film.watching(sampler, config, options.n);
    console.detail(
        sampling_needs(config, options.n * int(rows.size()), sampler, trained.computing()));
    console.info(cat(trained.name(), "; ", options.n, " images, ", name_of(sampler.kind), " ",
                     sampler.steps, " steps, seed ", options.seed,
                     class_note(sampler.labels, trained.classes())));
    const auto drawn =
        model::sample(trained.context, *trained.network, config.diffusion, options.n,
                      config.data.image_size[0], config.data.image_size[1], channels, sampler);
    values.insert(values.end(), drawn.begin(), drawn.end());
    console.clear_bar();
  }
  Recipe recipe = trained.recipe(options, sampler, n);
  recipe.options.eta = options.eta;
  for (std::size_t k = 0; rows.size() > 1 && k < rows.size(); ++k)
    recipe.rows.push_back(cat(name_of(*rows[k].sampler), " ", rows[k].steps));
  const std::string text = options.metadata ? to_json(recipe) : "";
  std::vector<std::string> made = files;
  if (files.empty()) made = {options.out};
  if (!options.save_tensors.empty()) save_tensors(options.save_tensors, values, n, config, text);
  if (!has_picture(config))
    made.clear();
  else if (files.empty())
    write_output(options.out, grid_png(values, n, config, text, columns));
  else
    write_each(files, values, config, recipe, options.metadata);
  for (const std::string& path : earlier)
    if (engine::disk().unlink(path) >= 0) console.info("removed, of an earlier call: " + path);
  if (!options.animation.empty()) {
    film.write(options.animation, text);
    made.push_back(options.animation);
  }
  if (!options.save_tensors.empty()) made.push_back(options.save_tensors);
  if (pipes == 0)
    for (const std::string& path : made) print_line(path);
  return 0;
}

}  // namespace

Command sample_command() {
  return {
      .name = "sample",
      .summary = "draw images from a trained network",
      .examples = R"(  haze sample --checkpoint runs/demo --out grid.png
  haze sample --checkpoint runs/demo --n 16 --sampler ddim --eta 1 --steps 50 \
      --seed 7 --out a.png
)",
      .about =
          R"(An image depends on the weights, the seed and its own number only: --batch changes none.)",
      .action = {add_flags, run}};
}

}  // namespace haze::apps
