// SPDX-License-Identifier: MIT
#include "apps/sample_grid.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>

#include "apps/image/animation.h"
#include "apps/image/grid.h"
#include "apps/image/png.h"
#include "apps/json_writer.h"
#include "apps/point_pictures.h"
#include "apps/sampling.h"
#include "apps/version.h"
#include "kernels/base/text.h"

namespace haze::apps {

std::string to_json(const Recipe& r) {
  JsonWriter w(0);
  const auto list = [&](const char* key, const std::vector<std::string>& words) {
    w.key(key).begin_array();
    for (const std::string& word : words) w.value(word);
    w.end_array();
  };
  w.begin_object().field("v", 1).field("haze", full_version()).field("run", r.run);
  if (!r.checkpoint.empty()) w.field("checkpoint_xxh3", r.checkpoint);
  w.field("step", r.step).field("weights", r.ema ? "ema" : "raw");
  if (r.rows.empty())
    w.field("sampler", name_of(r.options.kind)).field("steps", r.options.steps);
  else
    list("rows", r.rows);
  w.field("spacing", name_of(r.options.spacing));
  w.field("eta", r.options.eta).field("seed", r.options.seed);
  if (!r.options.labels.empty()) {
    w.key("classes").begin_array();
    for (const std::int32_t label : r.options.labels) w.value(label);
    w.end_array();
    if (!r.classes.empty()) {
      w.key("class_names").begin_object();
      for (const std::int32_t label : std::set(r.options.labels.begin(), r.options.labels.end()))
        if (std::size_t(label) < r.classes.size())
          w.field(std::to_string(label), r.classes[std::size_t(label)]);
      w.end_object();
    }
    w.field("guidance", r.options.guidance.weight);
    w.field("guidance_rescale", r.options.guidance.rescale);
  }
  w.field("index", r.options.first_item).field("count", r.count);
  w.field("given_noise", !r.options.x_T.empty());
  if (!r.edit.empty()) {
    w.field("edit", r.edit).field("strength", r.options.strength);
    w.field("jump", r.options.jump_length).field("repeats", r.options.jump_repeats);
    list("init", r.init);
  }
  return w.end_object().text();
}

GridPlan plan_grid(const RunConfig& config) {
  GridPlan plan;
  model::SamplingOptions& options = plan.options;
  const model::TrainConfig& train = config.train;
  if (point_set_of(config.data.spec)) {
    plan.count = train.sample_count > 0 ? train.sample_count : 2000;
    options.kind = model::SamplerKind::ddpm;
    options.steps = config.diffusion.steps;
    options.batch = plan.count;
  } else {
    plan.count = train.sample_count > 0 ? train.sample_count : 64;
    options.kind = model::SamplerKind::ddim;
    options.eta = 1;
    options.steps = std::min(50, config.diffusion.steps);
    options.batch = std::min(plan.count, std::max(1, train.batch_size / train.accumulate));
  }
  options.seed = config.seed;
  options.low = config.data.range == DataRange::zero_one ? 0 : -1;
  for (int i = 0; i < plan.count && config.model.num_classes > 0; ++i)
    options.labels.push_back(i % config.model.num_classes);
  return plan;
}

bool has_picture(const RunConfig& config) {
  const int channels = config.model.image_channels;
  return channels == 1 || channels == 3 || point_set_of(config.data.spec);
}

void check_picture(const RunConfig& config, int n, int columns) {
  if (point_set_of(config.data.spec)) return;  // panels of a fixed size
  const GridSize size = grid_size(n, config.data.image_size[0], config.data.image_size[1], columns);
  check_png_size(size.height, size.width);
}

Image sample_picture(const std::vector<float>& values, int n, const RunConfig& config,
                     int columns) {
  const int channels = config.model.image_channels;
  if (const auto set = point_set_of(config.data.spec)) {
    if (columns == 0) return points_picture(*set, values);
    std::vector<std::vector<float>> panels;
    const std::size_t size = 2 * std::size_t(columns);
    for (std::size_t at = 0; at + size <= values.size(); at += size)
      panels.emplace_back(values.begin() + std::ptrdiff_t(at),
                          values.begin() + std::ptrdiff_t(at + size));
    return panels_picture(*set, panels, 0);
  }
  if (!has_picture(config))
    throw InputError(
        cat("model.image_channels: ", channels, "; a picture has 1 or 3; use --save-tensors"));
  const auto bytes =
      to_bytes(values, config.data.range == DataRange::zero_one ? Range::zero_to_one
                                                                : Range::minus_one_to_one);
  return make_grid(bytes, n, config.data.image_size[0], config.data.image_size[1], channels,
                   columns);
}

std::vector<std::uint8_t> grid_png(const std::vector<float>& values, int n, const RunConfig& config,
                                   const std::string& recipe, int columns) {
  return encode_png(sample_picture(values, n, config, columns), recipe);
}

model::SamplingOptions Film::watching(model::SamplingOptions options, const RunConfig& config,
                                      int n) {
  static constexpr int kMost = 50;
  options.on_x0 = [this, &config, n](int step, int steps, const std::vector<float>& x0) {
    const int frames = std::min(steps, kMost);
    // Of each group of steps that share a frame, the last.
    if ((step + 1) * frames / steps != step * frames / steps)
      frames_.push_back(sample_picture(x0, n, config, 0));
  };
  return options;
}

void Film::write(const std::string& path, const std::string& recipe) const {
  write_output(path, encode_animation(frames_, {}, recipe));
}

}  // namespace haze::apps
