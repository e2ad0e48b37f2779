// SPDX-License-Identifier: MIT
// Whole chains against diffusers' schedulers (tests/pytorch/record_samplers.py).
#include <algorithm>
#include <cmath>
#include <sstream>

#include "engine/files/safetensors.h"
#include "model/sampler.h"
#include "tests/model/networks.h"
#include "tests/support/paths.h"

namespace haze::model {
namespace {

const DiffusionConfig kLinear{.steps = 1000};

/// The recorder's formula of x and t.
class Formula : public Network {
 public:
  Formula(Prediction prediction, bool learned)
      : prediction_(prediction), learned_(learned), schedule_(make_schedule(kLinear)) {}
  engine::Var forward(engine::Tape& tape, const NetworkInput& in, const TrainingRandom*) override {
    const engine::Tensor& x = tape.value(in.x);
    const int t = test::read<std::int32_t>(in.t)[0], c = x.shape[3];
    const double ab = schedule_.alpha_bar_at(t), a = std::sqrt(ab), s = std::sqrt(1 - ab);
    std::vector<float> out;
    const std::vector<float> values = engine::download(tape.context(), x);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double v = double(values[i]);
      const double x0 = 0.6 * std::tanh(v) + 0.2 * std::sin(2 * v + t / 200.0);
      const double eps = (v - a * x0) / s;
      out.push_back(float(prediction_ == Prediction::eps  ? eps
                          : prediction_ == Prediction::x0 ? x0
                                                          : a * eps - s * x0));
      if (!learned_ || (i + 1) % std::size_t(c) != 0) continue;
      for (std::size_t k = i + 1 - std::size_t(c); k <= i; ++k)
        out.push_back(float(std::tanh(double(values[k]) / 2 + t / 1000.0)));
    }
    engine::Shape shape = x.shape;
    if (learned_) shape = {shape[0], shape[1], shape[2], 2 * c};
    return tape.leaf(engine::upload(tape.context(), shape, out));
  }

 private:
  Prediction prediction_;
  bool learned_;
  Schedule schedule_;
};

/// "ddim.eps.leading.20.eta-0.7.clip" as options.
struct Case {
  DiffusionConfig diffusion = kLinear;
  SamplingOptions options;
};
Case parse(const std::string& name) {
  const std::map<std::string, SamplerKind> kinds = {{"ddpm", SamplerKind::ddpm},
                                                    {"ddim", SamplerKind::ddim},
                                                    {"dpmpp", SamplerKind::dpmpp},
                                                    {"heun", SamplerKind::heun}};
  const std::map<std::string, Prediction> predictions = {
      {"eps", Prediction::eps}, {"x0", Prediction::x0}, {"v", Prediction::v}};
  const std::map<std::string, Spacing> spacings = {{"linspace", Spacing::linspace},
                                                   {"leading", Spacing::leading},
                                                   {"trailing", Spacing::trailing}};
  const std::map<std::string, Variance> variances = {{"beta_tilde", Variance::beta_tilde},
                                                     {"learned", Variance::learned}};
  Case c;
  std::istringstream text(name);
  std::string kind, prediction, spacing, steps, more;
  std::getline(text, kind, '.'), std::getline(text, prediction, '.');
  std::getline(text, spacing, '.'), std::getline(text, steps, '.');
  c.options.kind = kinds.at(kind);
  c.diffusion.prediction = predictions.at(prediction);
  c.options.spacing = spacings.at(spacing);
  c.options.steps = std::stoi(steps);
  if (const auto at = name.find("eta-"); at != name.npos)
    c.options.eta = std::stod(name.substr(at + 4));
  c.options.rederive_eps = name.find(".rederive") != name.npos;
  c.diffusion.clip_x0 = name.find(".clip") != name.npos;
  if (const auto at = name.find("variance-"); at != name.npos)
    c.diffusion.variance = variances.at(name.substr(at + 9));
  return c;
}

TEST(SamplersRecord, EndWhereDiffusersEnds) {
  const engine::SafetensorsReader file(engine::disk(),
                                       test::source_dir() + "/tests/fixtures/samplers.safetensors");
  const int n = 2, c = 3, h = 4, w = 3, most = 50;
  const auto image = std::size_t(n * c * h * w);
  const auto nhwc = [&](const std::string& name, int blocks) {
    return nchw_to_nhwc(file.read_f32(file.at(name)), n * blocks, c, h, w);
  };
  const std::vector<float> x_T = nhwc("x_T", 1), z = nhwc("z", most);
  int seen = 0;
  for (const auto& entry : file.tensors()) {
    if (entry.name == "x_T" || entry.name == "z") continue;
    ++seen;
    Case run = parse(entry.name);
    engine::Context context{test::device()};
    context.graphs = false;  // the formula is computed on the host
    Formula network(run.diffusion.prediction, run.diffusion.variance == Variance::learned);
    run.options.x_T = x_T;
    const Chain chain = make_chain(run.diffusion, run.options);
    run.options.z.assign(z.begin(), z.begin() + std::ptrdiff_t(chain.steps.size() * image));
    // Their alpha_bar is a product in float32, off by up to 1e-6 of itself; 1e-4 is what the
    // samples (of size 1) may differ by after at most 50 steps.
    test::expect_close(sample(context, network, run.diffusion, n, h, w, c, run.options),
                       nhwc(entry.name, 1), 0, 1e-4, entry.name);
  }
  EXPECT_EQ(seen, 44);
}

/// The largest distance between two samples' distribution functions (Kolmogorov and Smirnov).
double distance(std::vector<float> a, std::vector<float> b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  double most = 0;
  for (std::size_t i = 0, k = 0; i < a.size() && k < b.size();) {
    const float x = std::min(a[i], b[k]);
    while (i < a.size() && a[i] <= x) ++i;
    while (k < b.size() && b[k] <= x) ++k;
    most = std::max(most, std::abs(double(i) / double(a.size()) - double(k) / double(b.size())));
  }
  return most;
}

TEST(Samplers, DdimWithEtaOneAndAllStepsHasTheDistributionOfDdpm) {
  const int n = 1500;
  DiffusionConfig diffusion = kLinear;
  diffusion.variance = Variance::beta_tilde;  // DDIM's sigma at eta = 1
  const auto draw = [&](SamplerKind kind, double eta, std::uint64_t seed) {
    engine::Context context{test::device()};
    context.graphs = false;
    Formula network(Prediction::eps, false);
    SamplingOptions o;
    o.kind = kind, o.eta = eta, o.seed = seed, o.batch = n;
    return sample(context, network, diffusion, n, 1, 1, 1, o);
  };
  const auto ddpm = draw(SamplerKind::ddpm, 0, 1);
  // At the level 1e-4 two samples of one distribution are closer than sqrt(-ln(1e-4/2)/n). Seeds
  // are fixed: this holds or does not.
  const double limit = std::sqrt(-std::log(1e-4 / 2) / n);
  EXPECT_LT(distance(draw(SamplerKind::ddim, 1, 2), ddpm), limit);
  EXPECT_GT(distance(draw(SamplerKind::ddim, 0, 2), ddpm), limit) << "the test has no power";
}

}  // namespace
}  // namespace haze::model
