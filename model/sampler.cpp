#include "model/sampler.h"

#include <algorithm>
#include <cmath>

#include "engine/random.h"
#include "engine/replay.h"
#include "kernels/common/memory.h"

namespace haze::model {

using engine::SamplerStep;
using engine::Shape;
using engine::Tensor;

namespace {

/// Coefficients of x0 = (x_t - sqrt(1 - ab)·eps) / sqrt(ab), clipped.
SamplerStep clipped(double ab, float low, float high) {
  SamplerStep c;
  c.x0_from_xt = float(1 / std::sqrt(ab));
  c.x0_from_out = float(-std::sqrt(1 - ab) / std::sqrt(ab));
  c.clip = true;
  c.lo = low;
  c.hi = high;
  return c;
}

struct Chain {
  std::vector<int> times;
  std::vector<SamplerStep> steps;
};

Chain make_chain(const DiffusionConfig& diffusion, const SampleOptions& o) {
  if (!(o.eta >= 0 && o.eta <= 1)) throw InputError(cat("eta: ", o.eta, "; in [0, 1]"));
  const Schedule schedule = make_schedule(diffusion);
  const int T = schedule.steps();
  Chain chain{sampling_times(T, o.steps == 0 ? T : o.steps), {}};
  for (std::size_t k = 0; k < chain.times.size(); ++k) {
    const int t = chain.times[k];
    const int previous = k + 1 < chain.times.size() ? chain.times[k + 1] : -1;
    chain.steps.push_back(o.kind == SamplerKind::ddpm
                              ? ddpm_step(schedule, diffusion, t, previous, o.low, o.high)
                              : ddim_step(schedule, diffusion, o.eta, t, previous, o.low, o.high));
  }
  return chain;
}

/// Images [first, first + n) of a call, in steps. What changes from step to step lies at fixed
/// addresses on the device, so that on CUDA a step is captured once and replayed.
class Batch {
 public:
  Batch(engine::Context& context, const SampleOptions& options, int first, Shape shape, int total)
      : context_(context),
        options_(options),
        first_(first),
        shape_(shape),
        total_(total),
        x_(engine::lasting(context, shape, DType::f32)),
        t_(engine::lasting(context, {shape[0]}, DType::i32)),
        values_(engine::lasting(context, {int(sizeof(Values))}, DType::u8)) {
    const RandomKey key{options.seed, engine::streams::kPrior, 0};
    engine::copy(context, x_,
                 options.x_T.empty() ? engine::normal_noise(context, shape, key, item())
                                     : upload(options.x_T, 0));
  }

  void step(Network& network, int t, const SamplerStep& c, std::size_t k) {
    const std::vector<std::int32_t> times(std::size_t(shape_[0]), t);
    const Values values{c, std::uint32_t(k)};
    engine::overwrite(context_, t_, std::as_bytes(std::span(times)));
    engine::overwrite(context_, values_, std::as_bytes(std::span(&values, 1)));
    if (options_.z.empty()) return replay_.run(context_, [&] { advance(network, {}); });
    advance(network, c.sigma != 0 ? upload(options_.z, k) : Tensor{});
  }

  void read(float* to) const {
    std::visit([&](auto s) { kernels::copy_out(s, to, x_.raw(), x_.bytes()); }, context_.stream);
  }

 private:
  struct Values {
    SamplerStep c;
    std::uint32_t k;
  };

  void advance(Network& network, const Tensor& given) {
    engine::Tape tape(context_, false);
    const Tensor in = engine::to_activations(context_, x_);
    const engine::Var eps = network.forward(tape, {tape.leaf(in), t_, {}}, nullptr);
    const auto* at = static_cast<const Values*>(values_.raw());
    const engine::Noise z{given, {options_.seed, engine::streams::kSampler, 0, &at->k}, item()};
    engine::sampler_step(context_, &at->c, x_, tape.value(eps), z);
  }
  std::uint32_t item() const { return options_.first_item + std::uint32_t(first_); }
  /// This batch's rows of the k-th [total,H,W,C] block of given noise.
  Tensor upload(const std::vector<float>& all, std::size_t k) const {
    const std::size_t image = shape_.size() / std::size_t(shape_[0]);
    const std::size_t row = k * std::size_t(total_) + std::size_t(first_);
    return engine::to_device(context_, shape_, std::span(all).subspan(row * image, shape_.size()));
  }

  engine::Context& context_;
  const SampleOptions& options_;
  int first_;
  Shape shape_;
  int total_;
  Tensor x_, t_, values_;
  engine::Replay replay_;
};

}  // namespace

std::vector<int> sampling_times(int T, int steps) {
  if (steps < 1 || steps > T)
    throw InputError(cat("steps: ", steps, "; 1 to ", T, ", the steps of the noise schedule"));
  std::vector<int> times;
  for (int k = 0; k < steps; ++k)
    times.push_back(steps == 1 ? T - 1
                               : int(std::lround(double(T - 1) * (steps - 1 - k) / (steps - 1))));
  return times;
}

SamplerStep ddpm_step(const Schedule& schedule, const DiffusionConfig& diffusion, int t,
                      int previous, float low, float high) {
  const double ab = schedule.alpha_bar_at(t), ab_prev = schedule.alpha_bar_at(previous);
  const double alpha = ab / ab_prev, beta = 1 - alpha;
  SamplerStep c;
  if (diffusion.clip_x0) {
    c = clipped(ab, low, high);
    c.x0 = float(std::sqrt(ab_prev) * beta / (1 - ab));
    c.xt = float(std::sqrt(alpha) * (1 - ab_prev) / (1 - ab));
  } else {
    c.xt = float(1 / std::sqrt(alpha));
    c.out = float(-beta / (std::sqrt(alpha) * std::sqrt(1 - ab)));
  }
  if (previous >= 0 || diffusion.noise_at_t0) {
    const double tilde = beta * (1 - ab_prev) / (1 - ab);
    c.sigma = float(std::sqrt(diffusion.variance == Variance::beta ? beta : tilde));
  }
  return c;
}

SamplerStep ddim_step(const Schedule& schedule, const DiffusionConfig& diffusion, double eta, int t,
                      int previous, float low, float high) {
  const double ab = schedule.alpha_bar_at(t), ab_prev = schedule.alpha_bar_at(previous);
  const double sigma = eta * std::sqrt((1 - ab_prev) / (1 - ab) * (1 - ab / ab_prev));
  const double to_eps = std::sqrt(std::max(0.0, 1 - ab_prev - sigma * sigma));
  SamplerStep c;
  if (diffusion.clip_x0) {
    c = clipped(ab, low, high);
    c.x0 = float(std::sqrt(ab_prev));
    c.out = float(to_eps);
  } else {
    c.xt = float(std::sqrt(ab_prev / ab));
    c.out = float(to_eps - std::sqrt(ab_prev / ab * (1 - ab)));
  }
  c.sigma = float(sigma);
  return c;
}

std::vector<float> sample(engine::Context& context, Network& network,
                          const DiffusionConfig& diffusion, int n, int height, int width,
                          int channels, const SampleOptions& options) {
  HAZE_CHECK(n >= 1 && options.batch >= 1, n, " images in batches of ", options.batch);
  const Chain chain = make_chain(diffusion, options);
  const std::size_t image = Shape({height, width, channels}).size();
  const std::size_t steps = chain.times.size(), all = std::size_t(n) * image;
  HAZE_CHECK(options.x_T.empty() || options.x_T.size() == all, "x_T has ", options.x_T.size(),
             " values, not ", all);
  HAZE_CHECK(options.z.empty() || options.z.size() == steps * all, "z has ", options.z.size(),
             " values, not ", steps * all);
  const int batches = (n + options.batch - 1) / options.batch, total = batches * int(steps);
  int done = 0;
  std::vector<float> images(all);
  for (int first = 0; first < n; first += options.batch) {
    const int size = std::min(options.batch, n - first);
    Batch batch(context, options, first, {size, height, width, channels}, n);
    for (std::size_t k = 0; k < steps; ++k) {
      batch.step(network, chain.times[k], chain.steps[k], k);
      if (options.progress && !options.progress(++done, total))
        throw RunError(cat("sampling stopped after ", done, " of ", total, " steps"));
    }
    batch.read(images.data() + std::size_t(first) * image);
  }
  return images;
}

}  // namespace haze::model
