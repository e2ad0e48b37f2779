// SPDX-License-Identifier: MIT
// points.cpp — `haze points`: samples of a model of 2-D points, how well they lie on the curve that
// the data scatters about, and the chain as panels.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "apps/command.h"
#include "apps/device.h"
#include "apps/flag_groups.h"
#include "apps/image/png.h"
#include "apps/json_writer.h"
#include "apps/memory_needs.h"
#include "apps/point_pictures.h"
#include "apps/sample_grid.h"
#include "apps/sampling.h"
#include "apps/standard_output.h"
#include "apps/trained_model.h"
#include "model/noised.h"

namespace haze::apps {
namespace {

struct PointsOptions : SampleOptions {
  PointsOptions() { n = 10000, batch = 1000, out = "points.png"; }
  std::string panels;
  bool json = false;
};

void add_flags(Flags& flags, PointsOptions& p) {
  sampler_flags(flags, p, "ddpm");
  flags.group("Result");
  flags.output("--out", p.out, OutputKind::picture, "FILE|-",
               "PNG of all samples and the curve [points.png]");
  flags.output("--panels", p.panels, OutputKind::picture, "FILE|-",
               "PNG of the chain: data destroyed, samples rebuilt [none]");
  flags.boolean("--json", p.json, "one JSON document on standard output");
  metadata_flag(flags, p);
  compute_flags(flags, p.fusion);
  flags.number("--batch", p.batch, 1, 65536, "points per network call; changes none [1000]");
}

constexpr int kDestroyed = 20, kRebuilt = 10, kColumns = 10, kShown = 1000;

/// The data at 20 times from first to last, then samples at 10 stages of the chain.
std::vector<std::vector<float>> chain_panels(engine::Context& context, model::Network& network,
                                             const RunConfig& config, PointSet set,
                                             model::SamplingOptions sampler) {
  std::vector<std::vector<float>> panels;
  const Dataset data = draw_points(set, kShown);
  const model::Schedule schedule = model::make_schedule(config.diffusion);
  for (int k = 0; k < kDestroyed; ++k)
    panels.push_back(model::noised(context, schedule, data.values, {kShown, 1, 1, 2},
                                   k * (config.diffusion.steps - 1) / (kDestroyed - 1),
                                   sampler.seed));
  // What is drawn depends on the step alone, so a chain cut short shows the whole one on its way.
  const model::Chain whole = model::make_chain(config.diffusion, sampler);
  sampler.batch = kShown;
  const std::vector<std::int32_t> labels = sampler.labels;
  sampler.labels.clear();
  for (std::size_t i = 0; i < kShown && !labels.empty(); ++i)
    sampler.labels.push_back(labels[i % labels.size()]);
  sampler.progress = {};
  for (int k = 0; k < kRebuilt; ++k) {
    model::Chain part = whole;
    part.steps.resize(std::size_t(k) * whole.steps.size() / (kRebuilt - 1));
    panels.push_back(model::run_chain(context, network, part, kShown, 1, 1, 2, sampler));
  }
  return panels;
}

std::string as_json(const CurveFit& fit, int n, std::uint64_t seed) {
  JsonWriter w;
  w.begin_object().field("count", n).field("seed", seed);
  w.field("mean_distance", fit.mean_distance).key("shares").begin_array();
  for (const double share : fit.shares) w.value(share);
  return w.end_array().end_object().text() + "\n";
}

int run(const PointsOptions& o, const Program& program) {
  Console& console = program.console;
  const bool piped = o.out == "-" || o.panels == "-";  // standard output is a picture's
  if (piped && (o.json || o.out == o.panels))
    throw InputError(cat(o.json ? "--json: given with --out or --panels -" : "--out, --panels: -",
                         "; standard output takes one thing"));
  const Stream stream = open_device(program.common);
  TrainedModel trained(o, stream, console);
  const RunConfig& config = trained.config();
  const auto set = point_set_of(config.data.spec);
  if (!set)
    throw InputError(cat(trained.weights.path, ": data.spec: ", config.data.spec,
                         "; haze points is for models of 2-D points: try haze sample"));
  const model::SamplingOptions sampler = sampler_options(o, config, trained.classes(), console);
  trained.fit_threads(program.common, sampler.batch);
  console.detail(computing_on(stream, trained.context.fusion));
  console.info(cat(trained.name(), "; ", o.n, " points, ", name_of(sampler.kind), " ",
                   sampler.steps, " steps, seed ", o.seed));
  console.detail(sampling_needs(config, o.n, sampler, trained.computing()));
  const std::vector<float> values =
      model::sample(trained.context, *trained.network, config.diffusion, o.n, 1, 1, 2, sampler);
  console.clear_bar();
  const CurveFit fit = fit_curve(*set, values);
  if (!piped) print(o.json ? as_json(fit, o.n, o.seed) : to_text(fit));
  const std::string recipe = o.metadata ? to_json(trained.recipe(o, sampler, o.n)) : "";
  const auto write = [&](const std::string& path, const Image& picture) {
    write_output(path, encode_png(picture, recipe));
    if (!piped && !o.json) print_line(path);
  };
  write(o.out, points_picture(*set, values));
  if (!o.panels.empty())
    write(
        o.panels,
        panels_picture(*set, chain_panels(trained.context, *trained.network, config, *set, sampler),
                       kColumns));
  return 0;
}

}  // namespace

Command points_command() {
  return {
      .name = "points",
      .summary = "samples of a model of 2-D points, measured against their curve",
      .examples = R"(  haze points --checkpoint runs/s-curve --out points.png
  haze points --checkpoint runs/s-curve --panels chain.png --json
)",
      .about =
          R"(Prints the mean distance of the samples to the noiseless curve, and how many of them lie along
each tenth of it. haze data points:s_curve says the same of the data.)",
      .action = {add_flags, run}};
}

}  // namespace haze::apps
