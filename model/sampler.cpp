// SPDX-License-Identifier: MIT
#include "model/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/device_tensor.h"
#include "engine/process/process.h"
#include "engine/random.h"
#include "engine/replay.h"
#include "kernels/base/sizes.h"

namespace haze::model {

using engine::Lifetime;
using engine::Shape;
using engine::Tensor;

namespace {

struct Job {
  engine::Context& context;
  Network& network;
  const Chain& chain;
  const SamplingOptions& options;
  Shape all;  // [n,H,W,C]
};

/// Images [first, first + n) of a job. What changes from step to step lies at fixed addresses on
/// the device, so that on CUDA a step is captured once and replayed.
class Batch {
 public:
  Batch(const Job& job, int first, int n)
      : job_(job),
        first_(first),
        shape_({n, job.all[1], job.all[2], job.all[3]}),
        x_(engine::lasting(job.context, shape_, DType::f32)),
        t_(engine::lasting(job.context, {n}, DType::i32)),
        values_(job.context) {
    const SamplingOptions& o = job.options;
    const NetworkConfig& config = job.network.config();
    if (o.x_T.empty())
      draw_start();
    else
      engine::copy(job.context, x_, rows(o.x_T, 0));
    if (job.chain.has_history) outputs_.history = zeros();
    if (config.self_condition || o.on_x0) outputs_.x0 = zeros();
    if (config.num_classes > 0) {
      std::vector<std::int32_t> labels(std::size_t(n), config.no_class());
      none_ = lasting_i32(labels);
      if (!o.labels.empty()) std::copy_n(o.labels.begin() + first, n, labels.begin());
      labels_ = lasting_i32(labels);
    }
    if (!o.inpainting) return;
    known_ = engine::upload(job.context, {1, shape_[1], shape_[2], shape_[3]}, o.inpainting->image,
                            Lifetime::run);
    mask_ = engine::upload(job.context, {shape_[1], shape_[2]}, o.inpainting->mask, Lifetime::run);
  }

  void step(std::size_t k) {
    const ChainStep& step = job_.chain.steps[k];
    const std::vector<std::int32_t> times(std::size_t(shape_[0]), step.t);
    const double ab = step.alpha_bar_after;
    const Values values{step.c, {float(std::sqrt(ab)), float(std::sqrt(1 - ab))}, std::uint32_t(k)};
    engine::overwrite(job_.context, t_, times);
    values_.set(job_.context, values);
    const auto& z = job_.options.z;
    if (z.empty()) return replay_[step.calls].run(job_.context, [&] { advance(step.calls, {}); });
    advance(step.calls, step.c.sigma != 0 ? rows(z, k) : Tensor{});
  }

  std::vector<float> x() const { return engine::download(job_.context, x_); }
  /// The prediction of x0 made in the last step.
  std::vector<float> x0() const { return engine::download(job_.context, outputs_.x0); }

 private:
  struct Values {
    engine::SamplerStep c;
    engine::BlendStep known;
    std::uint32_t k;
  };

  /// x = start_std·z.
  void draw_start() {
    const RandomKey key{job_.options.seed, engine::streams::kPrior, 0};
    engine::copy(job_.context, x_, engine::normal_noise(job_.context, shape_, key, item()));
    if (job_.chain.start_std == 1) return;
    engine::SamplerStep scale;
    scale.xt = float(job_.chain.start_std);
    engine::sampler_step(job_.context, {scale}, x_, engine::to_activations(job_.context, x_), {});
  }

  void advance(bool calls, const Tensor& given) {
    engine::Tape tape(job_.context, false);
    const Tensor in = engine::to_activations(job_.context, x_);
    const Values* at = values_.on_device();
    const std::uint64_t seed = job_.options.seed;
    const engine::Noise z{given, {seed, engine::streams::kSampler, late_at(&at->k)}, item()};
    const engine::SamplerOutputs none;
    engine::sampler_step(job_.context, late_at(&at->c), x_, calls ? predict(tape, in) : in, z,
                         calls ? outputs_ : none);
    if (known_)
      engine::blend(job_.context, late_at(&at->known), x_, mask_, known_,
                    {{}, {seed, engine::streams::kKnown, late_at(&at->k)}, item()});
  }

  /// The network's output for x, guided where asked for.
  Tensor predict(engine::Tape& tape, const Tensor& in) const {
    const Guidance& g = job_.options.guidance;
    const auto call = [&](const Tensor& labels) {
      engine::Var x = tape.leaf(in);
      if (job_.network.config().self_condition)
        x = engine::concat_channels(tape, x,
                                    tape.leaf(engine::to_activations(job_.context, outputs_.x0)));
      return tape.value(job_.network.forward(tape, {x, t_, labels}, nullptr));
    };
    const Tensor with = call(labels_);
    if (g.weight == 1) return with;
    return engine::guidance(job_.context, in, with, call(none_),
                            {float(g.weight), float(g.rescale)});
  }

  std::uint32_t item() const { return job_.options.first_item + std::uint32_t(first_); }
  Tensor zeros() const { return engine::zeros(job_.context, shape_, DType::f32, Lifetime::run); }
  Tensor lasting_i32(const std::vector<std::int32_t>& v) const {
    return engine::upload(job_.context, {int(v.size())}, v, Lifetime::run);
  }
  /// This batch's rows of the k-th [n,H,W,C] block of given numbers.
  Tensor rows(const std::vector<float>& all, std::size_t k) const {
    const std::size_t image = shape_.size() / std::size_t(shape_[0]);
    const std::size_t row = k * std::size_t(job_.all[0]) + std::size_t(first_);
    return engine::upload(job_.context, shape_, std::span(all).subspan(row * image, shape_.size()));
  }

  const Job& job_;
  int first_;
  Shape shape_;
  Tensor x_, t_, labels_, none_, known_, mask_;
  engine::DeviceValue<Values> values_;
  engine::SamplerOutputs outputs_;
  std::array<engine::Replay, 2> replay_;  // of a jump back, of a step that calls the network
};

void check_sizes(const Job& job) {
  const SamplingOptions& o = job.options;
  const std::size_t all = job.all.size(), steps = job.chain.steps.size();
  HAZE_CHECK(o.x_T.empty() || o.x_T.size() == all, "x_T has ", o.x_T.size(), " values, not ", all);
  HAZE_CHECK(o.z.empty() || o.z.size() == steps * all, "z has ", o.z.size(), " values, not ",
             steps * all);
  if (!o.inpainting) return;
  const std::size_t pixels = std::size_t(job.all[1]) * std::size_t(job.all[2]);
  if (o.inpainting->mask.size() != pixels)
    throw InputError(cat("mask: ", o.inpainting->mask.size(), " pixels; the images have ", pixels));
  HAZE_CHECK(o.inpainting->image.size() * std::size_t(job.all[0]) == all, "known image has ",
             o.inpainting->image.size(), " values");
}

void check_conditions(const Job& job) {
  const SamplingOptions& o = job.options;
  const NetworkConfig& config = job.network.config();
  const Guidance& g = o.guidance;
  if (config.num_classes == 0 && (!o.labels.empty() || g.weight != 1 || g.rescale != 0))
    throw InputError(
        "class, guidance: the network is unconditional; train one with model.num_classes");
  HAZE_CHECK(o.labels.empty() || o.labels.size() == std::size_t(job.all[0]), o.labels.size(),
             " labels for ", job.all[0], " images");
  for (const std::int32_t label : o.labels)
    if (label < 0 || label > config.num_classes)
      throw InputError(cat("class: ", label, "; 0 to ", config.num_classes - 1));
  if (!std::isfinite(g.weight)) throw InputError(cat("guidance: ", g.weight, "; a finite number"));
  if (!(g.rescale >= 0 && g.rescale <= 1))
    throw InputError(cat("guidance rescale: ", g.rescale, "; in [0, 1]"));
}

}  // namespace

std::vector<float> run_chain(engine::Context& context, Network& network, const Chain& chain, int n,
                             int height, int width, int channels, const SamplingOptions& options) {
  HAZE_CHECK(n >= 1 && options.batch >= 1, n, " images in batches of ", options.batch);
  const Job job{context, network, chain, options, {n, height, width, channels}};
  check_sizes(job);
  check_conditions(job);
  const std::size_t image = Shape({height, width, channels}).size(), steps = chain.steps.size();
  const int batch = options.on_x0 ? n : options.batch;
  const int total = checked_int("batches and steps", {std::uint64_t((n - 1) / batch + 1), steps});
  int done = 0;
  std::vector<float> images;
  if (!plan_of(context)) images.reserve(std::size_t(n) * image);
  for (int first = 0; first < n; first += batch) {
    Batch part(job, first, std::min(batch, n - first));
    for (std::size_t k = 0; k < steps; ++k) {
      part.step(k);
      if (options.on_x0) options.on_x0(int(k), int(steps), part.x0());
      if (options.progress && !options.progress(++done, total))
        throw RunError(cat("sampling stopped after ", done, " of ", total, " steps"));
    }
    if (plan_of(context)) return {};  // the other batches take what this one has given back
    const std::vector<float> x = part.x();
    images.insert(images.end(), x.begin(), x.end());
  }
  return images;
}

std::vector<float> sample(engine::Context& context, Network& network,
                          const DiffusionConfig& diffusion, int n, int height, int width,
                          int channels, const SamplingOptions& options) {
  return run_chain(context, network, make_chain(diffusion, options), n, height, width, channels,
                   options);
}

}  // namespace haze::model
