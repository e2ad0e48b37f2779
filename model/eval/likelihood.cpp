#include "model/eval/likelihood.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/device_tensor.h"
#include "engine/random.h"
#include "model/prediction.h"

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
    double said = s.x0_xt * x_t + s.x0_out * double(out[channel]);
    if (diffusion.clip_x0) said = std::clamp(said, r.low, high);
    double log_variance = s.log_most;
    if (diffusion.variance == Variance::learned) {
      const double share = (double(out[channel + r.channels]) + 1) / 2;
      log_variance = share * s.log_most + (1 - share) * s.log_least;
    }
    // Both means have the same part of x_t (at t = 0 none: the posterior is x0 itself).
    const double difference = s.posterior_x0 * (x0 - said);
    sum.error += (x0 - said) * (x0 - said);
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

BoundStep bound_step(const Schedule& schedule, const DiffusionConfig& diffusion, int t) {
  const auto beta_tilde = [&](int at) {
    return schedule.beta[std::size_t(at)] * (1 - schedule.alpha_bar_at(at - 1)) /
           (1 - schedule.alpha_bar_at(at));
  };
  const double ab = schedule.alpha_bar_at(t), before = schedule.alpha_bar_at(t - 1);
  const double beta = schedule.beta[std::size_t(t)];
  const Reading reading = reading_of(diffusion.prediction, ab);
  const double least = std::log(t > 0                  ? beta_tilde(t)
                                : schedule.steps() > 1 ? beta_tilde(1)
                                                       : beta);
  double most = std::log(beta);
  if (diffusion.variance == Variance::beta_tilde ||
      (t == 0 && diffusion.variance == Variance::beta))
    most = least;
  return {reading.x0_xt, reading.x0_out, std::sqrt(before) * beta / (1 - ab), least, least, most};
}

double Bound::term_at(int t) const {
  HAZE_CHECK(t >= 1 && times.size() >= 2, "t ", t, " of ", times.size(), " times");
  const auto next = std::upper_bound(times.begin() + 1, times.end(), t);
  if (next == times.begin() + 1) return terms[1];
  if (next == times.end()) return terms.back();
  const std::size_t k = std::size_t(next - times.begin()) - 1;
  const double share = double(t - times[k]) / double(times[k + 1] - times[k]);
  return terms[k] + share * (terms[k + 1] - terms[k]);
}

Bound bits_per_dim(engine::Context& context, Network& network, const DiffusionConfig& diffusion,
                   std::span<const std::uint8_t> images, int n, int height, int width, int channels,
                   const BoundOptions& o) {
  const Schedule schedule = make_schedule(diffusion);
  const NetworkConfig& config = network.config();
  const int T = schedule.steps();
  const std::size_t size = std::size_t(height) * std::size_t(width) * std::size_t(channels);
  HAZE_CHECK(n >= 1 && o.batch >= 1 && images.size() == std::size_t(n) * size &&
                 (o.noise.empty() || o.noise.size() == std::size_t(T) * images.size()) &&
                 (o.labels.empty() || o.labels.size() == std::size_t(n)),
             n, " images of ", size, ": ", images.size(), " bytes, ", o.noise.size(), " normals, ",
             o.labels.size(), " labels");
  Bound bound;
  bound.times = times_of(T, o.times);
  bound.terms.assign(bound.times.size(), 0);
  bound.errors.assign(bound.times.size(), 0);
  const double low = o.zero_to_one ? 0 : -1, step = (o.zero_to_one ? 1 : 2) / 255.0;
  const int total = (n + o.batch - 1) / o.batch * int(bound.times.size());
  int done = 0;
  std::vector<float> x_t;
  for (int first = 0; first < n; first += o.batch) {
    const int count = std::min(o.batch, n - first);
    const std::size_t from = std::size_t(first) * size, all = std::size_t(count) * size;
    const engine::Shape shape{count, height, width, channels};
    std::vector<std::int32_t> labels(std::size_t(config.num_classes > 0 ? count : 0),
                                     config.no_class());
    if (config.num_classes > 0 && !o.labels.empty())
      std::copy_n(o.labels.begin() + first, count, labels.begin());
    for (std::size_t k = 0; k < bound.times.size(); ++k) {
      const int t = bound.times[k];
      const double a = std::sqrt(schedule.alpha_bar_at(t)),
                   s = std::sqrt(1 - schedule.alpha_bar_at(t));
      const RandomKey key{o.seed, engine::streams::kBound, std::uint32_t(t)};
      x_t.resize(all);
#pragma omp parallel for schedule(static)
      for (int i = 0; i < count; ++i)
        for (std::size_t e = 0; e < size; e += 4) {
          float z[4];
          normal4(key, std::uint32_t(first + i), std::uint32_t(e / 4), z);
          for (std::size_t j = e; j < std::min(e + 4, size); ++j) {
            const std::size_t at = std::size_t(i) * size + j;
            const float eps =
                o.noise.empty() ? z[j - e] : o.noise[std::size_t(t) * images.size() + from + at];
            x_t[at] = float(a * (low + images[from + at] * step) + s * double(eps));
          }
        }
      std::vector<float> out;
      {
        engine::Tape tape(context, false);
        const engine::Tensor x =
            engine::to_activations(context, engine::upload(context, shape, x_t));
        engine::Var in = tape.leaf(x);
        if (config.self_condition)  // no earlier prediction: zeros
          in = engine::concat_channels(
              tape, in, tape.leaf(engine::zeros(context, shape, context.activations)));
        const std::vector<std::int32_t> times(std::size_t(count), t);
        NetworkInput input{in, engine::upload(context, {count}, times), {}};
        if (!labels.empty()) input.labels = engine::upload(context, {count}, labels);
        out = engine::download(context, tape.value(network.forward(tape, input, nullptr)));
      }
      context.arena.consolidate();
      const std::size_t out_channels = std::size_t(config.out_channels());
      HAZE_CHECK(out.size() == all / std::size_t(channels) * out_channels, out.size(), " outputs");
      const Rows rows{size, std::size_t(channels), out_channels, low,
                      step, images.data() + from,  x_t.data(),   out.data()};
      const BoundStep bound_of_t = bound_step(schedule, diffusion, t);
      std::vector<ItemTerm> items(all / size);
#pragma omp parallel for schedule(static)
      for (std::size_t i = 0; i < items.size(); ++i)
        items[i] = term_of(bound_of_t, diffusion, rows, t == 0, i);
      for (std::size_t i = 0; i < items.size(); ++i) {
        if (!std::isfinite(items[i].nats))
          throw RunError(cat("the bound's term of t = ", t, " is not finite for image ",
                             std::size_t(first) + i,
                             "; nor is, then, what the network says of it"));
        bound.terms[k] += items[i].nats / (n * std::numbers::ln2);
        bound.errors[k] += items[i].error / n;
      }
      if (o.progress) o.progress(++done, total);
    }
  }
  const double ab = schedule.alpha_bar_at(T - 1);
  for (const std::uint8_t byte : images) {
    const double x0 = low + byte * step;
    bound.prior += 0.5 * (ab * x0 * x0 - ab - std::log1p(-ab)) / double(images.size());
  }
  bound.prior /= std::numbers::ln2;
  bound.total = bound.prior + bound.terms[0];
  for (int t = 1; t < T; ++t) bound.total += bound.term_at(t);
  return bound;
}

}  // namespace haze::model
