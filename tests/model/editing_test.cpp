// SPDX-License-Identifier: MIT
// Classes, guidance and chains that start from images.
#include "model/editing.h"

#include <algorithm>
#include <cmath>

#include "tests/model/networks.h"

namespace haze::model {
namespace {

using test::expect_input_error;

const DiffusionConfig kProcess{.steps = 40, .beta_end = 0.2};

NetworkConfig conditional(int classes) {
  NetworkConfig c;
  c.image_channels = 1;
  c.num_classes = classes;
  return c;
}

/// eps = (label + 1)/10·x, so that a chain is a product that can be computed by hand.
class Labelled : public Network {
 public:
  explicit Labelled(int classes) : Network(conditional(classes)) {}
  engine::Var forward(engine::Tape& tape, const NetworkInput& in, const TrainingRandom*) override {
    std::vector<float> v = engine::download(tape.context(), tape.value(in.x));
    const std::size_t image = v.size() / std::size_t(tape.value(in.x).shape[0]);
    const auto labels =
        in.labels ? test::read<std::int32_t>(in.labels) : std::vector<std::int32_t>();
    for (std::size_t i = 0; i < v.size(); ++i)
      v[i] *= labels.empty() ? 0.1f : float(labels[i / image] + 1) / 10;
    return tape.leaf(engine::upload(tape.context(), tape.value(in.x).shape, v));
  }
};

struct Start {
  engine::Context context{test::device()};
  SamplingOptions options;
  Start() {
    context.graphs = false;  // Labelled computes on the host
    options.kind = SamplerKind::ddim;
    options.steps = 6;
  }
};

TEST(Guidance, MixesTheAnswersWithAndWithoutAClass) {
  Start s;
  Labelled network(3);
  for (const double v : test::normal(4 * 6, 3)) s.options.x_T.push_back(float(v));
  s.options.labels = {0, 2, 1, 2};
  s.options.guidance.weight = 2.5;
  s.options.batch = 3;
  const auto got = sample(s.context, network, kProcess, 4, 2, 3, 1, s.options);
  const Chain chain = make_chain(kProcess, s.options);
  std::vector<double> want(s.options.x_T.begin(), s.options.x_T.end());
  for (const ChainStep& step : chain.steps)
    for (std::size_t i = 0; i < want.size(); ++i) {
      const double with = (s.options.labels[i / 6] + 1) / 10.0, without = 0.4;  // "none" is 3
      want[i] *= double(step.c.xt) + double(step.c.out) * (without + 2.5 * (with - without));
    }
  test::expect_close(got, want, 1e-5, 1e-6, "guided");
  s.options.guidance.weight = 1;
  EXPECT_NE(sample(s.context, network, kProcess, 4, 2, 3, 1, s.options), got);
}

TEST(Guidance, RefusesWhatDoesNotFit) {
  Start s;
  Labelled free(0), classes(3);
  const auto run = [&](Network& n) { sample(s.context, n, kProcess, 2, 2, 3, 1, s.options); };
  s.options.labels = {0, 1};
  expect_input_error([&] { run(free); }, "unconditional");
  s.options.labels = {0, 4};
  expect_input_error([&] { run(classes); }, "class: 4; 0 to 2");
  s.options.labels = {-1, 0};
  expect_input_error([&] { run(classes); }, "class: -1; 0 to 2");
  s.options.labels = {0, 1};
  s.options.guidance = {.weight = NAN};
  expect_input_error([&] { run(classes); }, "guidance: nan");
  s.options.guidance = {.weight = 2, .rescale = 1.5};
  expect_input_error([&] { run(classes); }, "guidance rescale: 1.5; in [0, 1]");
  s.options = {};
  s.options.guidance.weight = 2;
  expect_input_error([&] { run(free); }, "unconditional");
}

TEST(Inpainting, KeepsTheKnownPixelsToTheBitAndDrawsTheOthers) {
  for (const auto kind : {SamplerKind::ddpm, SamplerKind::dpmpp}) {
    Start s;
    Labelled network(0);
    s.options.kind = kind;
    Inpainting known;
    for (const double v : test::normal(2 * 3, 5)) known.image.push_back(float(v));
    known.mask = {1, 0, 1, 1, 0, 0};
    s.options.inpainting = known;
    if (kind == SamplerKind::ddpm) s.options.jump_length = 2, s.options.jump_repeats = 3;
    const auto a = sample(s.context, network, kProcess, 3, 2, 3, 1, s.options);
    s.options.seed = 1;
    const auto b = sample(s.context, network, kProcess, 3, 2, 3, 1, s.options);
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (known.mask[i % 6] == 1) {
        EXPECT_EQ(a[i], known.image[i % 6]) << i;
        EXPECT_EQ(b[i], known.image[i % 6]) << i;
      } else {
        EXPECT_NE(a[i], b[i]) << i;
        EXPECT_TRUE(std::isfinite(a[i]));
      }
    }
    s.options.inpainting->mask.pop_back();
    expect_input_error([&] { sample(s.context, network, kProcess, 3, 2, 3, 1, s.options); },
                       "mask: 5 pixels; the images have 6");
  }
}

TEST(Chain, GoesBackAsOftenAsAskedAndEndsAtTheImage) {
  ChainOptions o;
  o.steps = 7;
  o.jump_length = 3;
  o.jump_repeats = 4;
  const Chain chain = make_chain(kProcess, o);
  EXPECT_EQ(std::ranges::count_if(chain.steps, &ChainStep::calls), 7 * 4);
  EXPECT_EQ(chain.steps.size(), 7u * 4 + 3 * 3);  // stretches of 3, 3 and 1, each 3 times back
  double level = chain.alpha_bar_start;
  const Schedule schedule = make_schedule(kProcess);
  for (const ChainStep& step : chain.steps) {
    if (step.calls) {
      EXPECT_EQ(level, schedule.alpha_bar_at(step.t));
      EXPECT_GT(step.alpha_bar_after, level);
    } else {  // x of level a becomes x of level b: sqrt(b/a) of the signal, the variances add up
      EXPECT_LT(step.alpha_bar_after, level);
      EXPECT_NEAR(step.c.xt, std::sqrt(step.alpha_bar_after / level), 1e-6);
      EXPECT_NEAR(double(step.c.xt) * double(step.c.xt) * (1 - level) +
                      double(step.c.sigma) * double(step.c.sigma),
                  1 - step.alpha_bar_after, 1e-6);
    }
    level = step.alpha_bar_after;
  }
  EXPECT_EQ(level, 1);
}

TEST(Chain, RefusesWhatDoesNotFit) {
  const auto chain = [](auto set) {
    ChainOptions o;
    set(o);
    make_chain(kProcess, o);
  };
  expect_input_error([&] { chain([](auto& o) { o.eta = 0.5; }); }, "eta: 0.5; it belongs to");
  expect_input_error([&] { chain([](auto& o) { o.kind = SamplerKind::ddim, o.eta = -0.1; }); },
                     "eta: -0.1; in");
  expect_input_error([&] { chain([](auto& o) { o.strength = 0; }); }, "strength: 0; above 0");
  expect_input_error([&] { chain([](auto& o) { o.strength = NAN; }); }, "strength: nan");
  expect_input_error([&] { chain([](auto& o) { o.jump_length = -1; }); }, "jump: -1");
  expect_input_error(
      [&] {
        chain([](auto& o) { o.kind = SamplerKind::heun, o.jump_length = 2, o.jump_repeats = 2; });
      },
      "without memory");
}

TEST(Editing, StrengthIsThePartOfTheChain) {
  ChainOptions o;
  o.steps = 10;
  o.strength = 0.3;
  const Chain chain = make_chain(kProcess, o);
  const auto times = sampling_times(40, 10);
  ASSERT_EQ(chain.steps.size(), 3u);
  EXPECT_EQ(chain.steps[0].t, times[7]);
  EXPECT_EQ(chain.alpha_bar_start, make_schedule(kProcess).alpha_bar_at(times[7]));
}

TEST(Editing, InterpolationBeginsAndEndsWithVariationsOfItsImages) {
  Start s;
  Labelled network(0);
  const ImageSize size{2, 3, 1};
  std::vector<float> a, b;
  for (const double v : test::normal(6, 1)) a.push_back(float(v));
  for (const double v : test::normal(6, 2)) b.push_back(float(v));
  s.options.strength = 0.5;
  s.options.kind = SamplerKind::ddpm;  // its noise must be the same for all
  const auto row = interpolation(s.context, network, kProcess, a, b, size, 5, s.options);
  const auto first = variations(s.context, network, kProcess, a, size, 1, s.options);
  const auto last = variations(s.context, network, kProcess, b, size, 1, s.options);
  test::expect_close(std::vector(row.begin(), row.begin() + 6), first, 0, 1e-6, "first");
  test::expect_close(std::vector(row.end() - 6, row.end()), last, 0, 1e-6, "last");
  // The network is linear, so the middle is the mean of the ends.
  for (std::size_t i = 0; i < 6; ++i)
    EXPECT_NEAR(row[12 + i], (row[i] + row[24 + i]) / 2, 1e-5) << i;
  expect_input_error([&] { interpolation(s.context, network, kProcess, a, b, size, 1, s.options); },
                     "images: 1; an interpolation has at least 2");
}

TEST(Editing, ReconstructionComesBackCloserWithMoreSteps) {
  Start s;
  Labelled network(0);
  std::vector<float> image;
  for (const double v : test::normal(2 * 6, 1)) image.push_back(float(v));
  const auto error = [&](int steps) {
    s.options.steps = steps;
    const auto back = reconstruction(s.context, network, kProcess, image, {2, 3, 1}, s.options);
    double most = 0;
    for (std::size_t i = 0; i < back.size(); ++i)
      most = std::max(most, std::abs(double(back[i]) - double(image[i])));
    return most;
  };
  const double coarse = error(5), fine = error(40);
  EXPECT_LT(fine, 0.5 * coarse);
  EXPECT_GT(coarse, 0);
  s.options.eta = 1;
  expect_input_error([&] { error(5); }, "a reconstruction takes ddim");
}

}  // namespace
}  // namespace haze::model
