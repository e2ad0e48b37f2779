// SPDX-License-Identifier: MIT
#include "apps/sampling.h"

#include <algorithm>
#include <cstdio>

#include "apps/data/input_file.h"
#include "apps/suggest.h"
#include "engine/files/safetensors.h"
#include "kernels/base/text.h"
#include "model/weights.h"

namespace haze::apps {
namespace {

/// A tensor [steps?,n,C,H,W] of the given file as haze lays it out.
std::vector<float> given(const engine::SafetensorsReader& file, const char* name, int n, int c,
                         int h, int w, int steps) {
  const engine::SafetensorsEntry& entry = file.at(name);
  std::vector<std::int64_t> want = {n, c, h, w};
  if (steps > 0) want.insert(want.begin(), steps);
  if (entry.shape != want)
    throw InputError(cat(file.path(), ": ", name, ": ", entry.shape_text(), "; ", shape_text(want),
                         " for these options"));
  return model::nchw_to_nhwc(file.read_f32(entry), n * std::max(steps, 1), c, h, w);
}

/// Class of each image.
std::vector<std::int32_t> labels_of(const SampleOptions& o, const RunConfig& config,
                                    const ClassNames& names) {
  const int classes = config.model.num_classes;
  if (classes == 0) {
    const std::string asked = !o.label.empty()  ? "--class: " + o.label
                              : o.guidance != 1 ? cat("--guidance: ", o.guidance)
                              : o.rescale != 0  ? cat("--guidance-rescale: ", o.rescale)
                                                : "";
    if (asked.empty()) return {};
    throw InputError(asked +
                     "; the network is unconditional; train one with --set model.num_classes");
  }
  if (o.rescale != 0 && o.guidance == 1)
    throw InputError(cat("--guidance-rescale: ", o.rescale,
                         "; it takes back part of a --guidance other than 1"));
  if (o.label.empty() || o.label == "none") {
    if (o.guidance != 1) throw InputError(cat("--guidance: ", o.guidance, "; it needs --class"));
    return {};
  }
  std::vector<std::int32_t> labels;
  for (int i = 0; i < o.n; ++i) labels.push_back(i % classes);
  if (o.label == "each") return labels;
  const auto label = class_number(o.label, classes, names);
  if (!label) {
    const std::string guess = nearest(printable(o.label), names);
    throw InputError(cat("--class: ", printable(o.label), "; ", classes_text(classes, names),
                         ", each or none", guess.empty() ? "" : "; did you mean " + guess + "?"));
  }
  return std::vector<std::int32_t>(std::size_t(o.n), *label);
}

}  // namespace

std::string class_note(const std::vector<std::int32_t>& labels, const ClassNames& classes) {
  if (labels.empty()) return "";
  const bool one = std::ranges::count(labels, labels[0]) == std::ptrdiff_t(labels.size());
  if (one) return ", class " + class_text(labels[0], classes);
  const int count = std::ranges::max(labels) + 1;
  return ", classes in turn: " + classes_text(count, classes);
}

model::SamplingOptions sampler_options(const SampleOptions& o, const RunConfig& config,
                                       const ClassNames& classes, Console& console) {
  model::SamplingOptions s;
  s.kind = o.sampler.value_or(model::SamplerKind::ddpm);
  if (s.kind != model::SamplerKind::ddim && o.eta != 0)
    throw InputError(cat("--eta: ", o.eta, "; it belongs to --sampler ddim"));
  s.spacing = o.spacing;
  s.labels = labels_of(o, config, classes);
  s.guidance = {o.guidance, o.rescale};
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
    const bool adds_noise =
        s.kind == model::SamplerKind::ddpm || s.kind == model::SamplerKind::ddim;
    if (adds_noise && file.has("z")) s.z = given(file, "z", o.n, c, h, w, s.steps);
  }
  // An animation is drawn as one batch.
  const int batches = o.animation.empty() ? (o.n + s.batch - 1) / s.batch : 1;
  s.progress = [&console, batches, watch = Stopwatch()](int done, int total) {
    const double rate = watch.rate(done);
    const int steps = std::max(total / batches, 1);  // of one batch; total counts those of all
    char speed[40];
    if (rate >= 1)
      std::snprintf(speed, sizeof speed, "it/s %.2f", rate);
    else
      std::snprintf(speed, sizeof speed, "s/it %.2f", 1 / rate);
    console.progress(
        double(done) / total,
        cat("step ", (done - 1) % steps + 1, " of ", steps, " batch ", (done - 1) / steps + 1,
            " of ", batches, " ", speed, " left ", watch.left(done, total)),
        done == total);
    return true;
  };
  return s;
}

}  // namespace haze::apps
