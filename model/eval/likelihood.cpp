// SPDX-License-Identifier: MIT
#include "model/eval/likelihood.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/device_tensor.h"
#include "engine/random.h"
#include "model/bound_step.h"

namespace haze::model {

namespace {

constexpr double kLeastProbability = 1e-12;

/// P(a < z <= b) of a standard normal: taken in the tail where no digits cancel.
double normal_between(double a, double b) {
  if (a > 0) return normal_between(-b, -a);
  const double root = std::numbers::sqrt2;
  return 0.5 * (std::erfc(-b / root) - std::erfc(-a / root));
}

/// The images of one network call, on the host.
struct Rows {
  std::size_t size;           // values of one image
  std::size_t channels;       // of the data
  std::size_t out_channels;   // of the network
  double low, step;           // value of byte 0, and of one byte more
  const std::uint8_t* bytes;  // [n,size]
  const float *x_t, *out;     // [n,size], [n,pixels,out_channels]
};

struct ItemTerm {
  double nats = 0, error = 0;
};

/// L_t of image n, and the mean squared error of x0. Training has the same terms as an op
/// (engine::variational_bound), in the type of the activations; here x_t is never rounded to bf16,
/// whose rounding is as large as the last steps' noise, and x0's error comes with it.
ItemTerm term_of(const BoundStep& s, const DiffusionConfig& diffusion, const Rows& r, bool last,
                 std::size_t n) {
  const double high = r.low + 255 * r.step;
  ItemTerm sum;
  for (std::size_t i = 0; i < r.size; ++i) {
    const std::size_t pixel = i / r.channels, channel = i % r.channels;
    const float* out = r.out + n * (r.size / r.channels) * r.out_channels + pixel * r.out_channels;
    const double x_t = double(r.x_t[n * r.size + i]);
    const int byte = r.bytes[n * r.size + i];
    const double x0 = r.low + byte * r.step;
    double predicted = s.x0_xt * x_t + s.x0_out * double(out[channel]);
    if (diffusion.clip_x0) predicted = std::clamp(predicted, r.low, high);
    double log_variance = s.log_most;
    if (diffusion.variance == Variance::learned) {
      const double share = (double(out[channel + r.channels]) + 1) / 2;
      log_variance = share * s.log_most + (1 - share) * s.log_least;
    }
    // Both means have the same part of x_t (at t = 0 none: the posterior is x0 itself).
    const double difference = s.posterior_x0 * (x0 - predicted);
    sum.error += (x0 - predicted) * (x0 - predicted);
    if (last) {
      const double deviation = std::exp(0.5 * log_variance);
      const double below = byte == 0 ? -INFINITY : (difference - r.step / 2) / deviation;
      const double above = byte == 255 ? INFINITY : (difference + r.step / 2) / deviation;
      const double p = normal_between(below, above);
      sum.nats -= std::log(p > kLeastProbability ? p : std::isnan(p) ? p : kLeastProbability);
    } else {
      sum.nats +=
          0.5 * (log_variance - s.posterior_log - 1 + std::exp(s.posterior_log - log_variance) +
                 difference * difference * std::exp(-log_variance));
    }
  }
  return {sum.nats / double(r.size), sum.error / double(r.size)};
}

std::vector<int> times_of(int T, int wanted) {
  std::vector<int> times{0};
  if (wanted < 0 || wanted > T)
    throw InputError(cat("times of the bound: ", wanted, "; 1 to the chain's ", T));
  const int rest = wanted == 0 ? T - 1 : std::min(std::max(wanted - 1, 1), T - 1);
  for (int k = 0; k < rest; ++k)
    times.push_back(rest == 1 ? (T == 2 ? 1 : T / 2)
                              : 1 + int(std::lround(double(T - 2) * k / (rest - 1))));
  return times;
}

}  // namespace

double Bound::term_at(int t) const {
  HAZE_CHECK(t >= 1 && times.size() >= 2, "t ", t, " of ", times.size(), " times");
  const auto next = std::upper_bound(times.begin() + 1, times.end(), t);
  if (next == times.begin() + 1) return terms[1];
  if (next == times.end()) return terms.back();
  const std::size_t k = std::size_t(next - times.begin()) - 1;
  const double share = double(t - times[k]) / double(times[k + 1] - times[k]);
  return terms[k] + share * (terms[k + 1] - terms[k]);
}

namespace {

/// A measurement: the images on the host, and which part of them goes through one network call.
struct Measurement {
  engine::Context& context;
  Network& network;
  const DiffusionConfig& diffusion;
  const Schedule& schedule;
  std::span<const std::uint8_t> images;  // [n,H,W,C]
  engine::Shape shape;
  const BoundOptions& options;

  std::size_t size() const { return images.size() / std::size_t(shape[0]); }
  double low() const { return options.zero_to_one ? 0 : -1; }            // value of byte 0
  double step() const { return (options.zero_to_one ? 1 : 2) / 255.0; }  // of one byte more
};
struct Part {
  int first, count;
};

/// x_t of a part, [count,H,W,C], in f32 from doubles.
std::vector<float> noised_part(const Measurement& m, Part part, int t) {
  const double a = std::sqrt(m.schedule.alpha_bar_at(t));
  const double s = std::sqrt(1 - m.schedule.alpha_bar_at(t));
  const RandomKey key{m.options.seed, engine::streams::kBound, std::uint32_t(t)};
  const std::size_t size = m.size(), from = std::size_t(part.first) * size;
  const float* given = m.options.noise.empty()
                           ? nullptr
                           : m.options.noise.data() + std::size_t(t) * m.images.size() + from;
  std::vector<float> x_t(std::size_t(part.count) * size);
#pragma omp parallel for schedule(static)
  for (int i = 0; i < part.count; ++i)
    for (std::size_t e = 0; e < size; e += 4) {
      float z[4];
      normal4(key, std::uint32_t(part.first + i), std::uint32_t(e / 4), z);
      for (std::size_t j = e; j < std::min(e + 4, size); ++j) {
        const std::size_t at = std::size_t(i) * size + j;
        const double eps = double(given ? given[at] : z[j - e]);
        x_t[at] = float(a * (m.low() + m.images[from + at] * m.step()) + s * eps);
      }
    }
  return x_t;
}

/// The labels of a part; empty for an unconditional network.
std::vector<std::int32_t> labels_of(const Measurement& m, Part part) {
  const NetworkConfig& config = m.network.config();
  if (config.num_classes == 0) return {};
  const auto& given = m.options.labels;
  if (given.empty()) return std::vector<std::int32_t>(std::size_t(part.count), config.no_class());
  return {given.begin() + part.first, given.begin() + part.first + part.count};
}

/// The network's output for x_t, [count,H,W,out_channels].
std::vector<float> output_of(const Measurement& m, Part part, const std::vector<float>& x_t,
                             int t) {
  const engine::Shape shape{part.count, m.shape[1], m.shape[2], m.shape[3]};
  engine::Context& context = m.context;
  engine::Tape tape(context, false);
  engine::Var in = tape.leaf(engine::to_activations(context, engine::upload(context, shape, x_t)));
  if (m.network.config().self_condition)  // no earlier prediction: zeros
    in = engine::concat_channels(tape, in,
                                 tape.leaf(engine::zeros(context, shape, context.activations)));
  const std::vector<std::int32_t> times(std::size_t(part.count), t), labels = labels_of(m, part);
  NetworkInput input{in, engine::upload(context, {part.count}, times), {}};
  if (!labels.empty()) input.labels = engine::upload(context, {part.count}, labels);
  return engine::download(context, tape.value(m.network.forward(tape, input, nullptr)));
}

/// L_t of each image of a part, in nats, and its error of x0. RunError for one that is not finite.
std::vector<ItemTerm> terms_of(const Measurement& m, Part part, int t) {
  const std::vector<float> x_t = noised_part(m, part, t), out = output_of(m, part, x_t, t);
  m.context.arena.consolidate();
  const auto channels = std::size_t(m.shape[3]);
  const auto out_channels = std::size_t(m.network.config().out_channels());
  HAZE_CHECK(out.size() == x_t.size() / channels * out_channels, out.size(), " outputs");
  const std::uint8_t* bytes = m.images.data() + std::size_t(part.first) * m.size();
  const Rows rows{m.size(), channels, out_channels, m.low(),
                  m.step(), bytes,    x_t.data(),   out.data()};
  const BoundStep step = bound_step(m.schedule, m.diffusion, t);
  std::vector<ItemTerm> items(std::size_t(part.count));
#pragma omp parallel for schedule(static)
  for (std::size_t i = 0; i < items.size(); ++i)
    items[i] = term_of(step, m.diffusion, rows, t == 0, i);
  for (std::size_t i = 0; i < items.size(); ++i)
    if (!std::isfinite(items[i].nats))
      throw RunError(cat("the bound's term of t = ", t, " is not finite for image ",
                         std::size_t(part.first) + i,
                         "; nor is, then, what the network says of it"));
  return items;
}

/// KL(q(x_T|x0) || N(0,1)) in bits per dimension, the mean over all values.
double prior_of(const Measurement& m) {
  const double ab = m.schedule.alpha_bar_at(m.schedule.steps() - 1);
  double prior = 0;
  for (const std::uint8_t byte : m.images) {
    const double x0 = m.low() + byte * m.step();
    prior += 0.5 * (ab * x0 * x0 - ab - std::log1p(-ab)) / double(m.images.size());
  }
  return prior / std::numbers::ln2;
}

}  // namespace

Bound bits_per_dim(engine::Context& context, Network& network, const DiffusionConfig& diffusion,
                   std::span<const std::uint8_t> images, int n, int height, int width, int channels,
                   const BoundOptions& o) {
  const Schedule schedule = make_schedule(diffusion);
  const int T = schedule.steps();
  const std::size_t size = std::size_t(height) * std::size_t(width) * std::size_t(channels);
  HAZE_CHECK(n >= 1 && o.batch >= 1 && images.size() == std::size_t(n) * size &&
                 (o.noise.empty() || o.noise.size() == std::size_t(T) * images.size()) &&
                 (o.labels.empty() || o.labels.size() == std::size_t(n)),
             n, " images of ", size, ": ", images.size(), " bytes, ", o.noise.size(), " normals, ",
             o.labels.size(), " labels");
  const Measurement m{context, network, diffusion, schedule, images, {n, height, width, channels},
                      o};
  Bound bound;
  bound.times = times_of(T, o.times);
  bound.terms.assign(bound.times.size(), 0);
  bound.errors.assign(bound.times.size(), 0);
  const int calls = (n + o.batch - 1) / o.batch * int(bound.times.size());
  int done = 0;
  for (int first = 0; first < n; first += o.batch)
    for (std::size_t k = 0; k < bound.times.size(); ++k) {
      for (const ItemTerm& item :
           terms_of(m, {first, std::min(o.batch, n - first)}, bound.times[k])) {
        bound.terms[k] += item.nats / (n * std::numbers::ln2);
        bound.errors[k] += item.error / n;
      }
      if (o.progress) o.progress(++done, calls);
    }
  bound.prior = prior_of(m);
  bound.total = bound.prior + bound.terms[0];
  for (int t = 1; t < T; ++t) bound.total += bound.term_at(t);
  return bound;
}

}  // namespace haze::model
