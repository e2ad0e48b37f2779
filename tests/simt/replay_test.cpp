// SPDX-License-Identifier: MIT
// replay_test.cpp — the kernels around the network in a CUDA graph: captured once and replayed,
// they compute what single calls compute, because what changes from step to step lies in device
// memory. And they are as few launches as docs/kernels/diffusion.md says.
#include "kernels/adam/adam.h"
#include "kernels/dropout/dropout.h"
#include "kernels/mse/mse.h"
#include "kernels/normal_fill/normal_fill.h"
#include "kernels/q_sample/q_sample.h"
#include "kernels/runtime/graph.h"
#include "kernels/runtime/memory.h"
#include "kernels/sampler_step/sampler_step.h"
#include "kernels/simt/emulator/emulator.h"
#include "tests/support/test.h"

namespace haze {
namespace {

CudaStream stream() {
  static const CudaStream opened = std::get<CudaStream>(kernels::open_cuda(0));
  return opened;
}

template <class T>
struct Buffer {
  explicit Buffer(const std::vector<T>& v)
      : n(v.size()), p(static_cast<T*>(kernels::allocate(stream(), n * sizeof(T)))) {
    set(v);
  }
  ~Buffer() { kernels::release(stream(), p); }
  void set(const std::vector<T>& v) {
    kernels::copy_in(stream(), p, v.data(), n * sizeof(T));
    kernels::synchronise(stream());
  }
  std::vector<T> read() const {
    std::vector<T> v(n);
    kernels::copy_out(stream(), v.data(), p, n * sizeof(T));
    return v;
  }
  std::size_t n;
  T* p;
};

std::vector<float> drawn(std::size_t n, unsigned seed, double mean = 0) {
  const auto v = test::normal(n, seed, mean);
  return {v.begin(), v.end()};
}

/// Memory of a training step and a sampling step, small and odd: 3 images of 5x7x3.
struct Step {
  static constexpr kernels::ImageDims kDims{3, 5, 7, 3, 4};
  static constexpr kernels::ItemDims kItems{3, 105};
  static constexpr int kWeights = 331;
  Buffer<std::uint8_t> images{std::vector<std::uint8_t>(4 * 105, 77)};
  Buffer<std::int32_t> index{{3, 0, 2}}, t{{0, 0, 0}};
  Buffer<float> signal{drawn(50, 1)}, noise{drawn(50, 2)};
  Buffer<float> x_t{drawn(315, 3)}, dropped{drawn(315, 4)}, x{drawn(315, 5)}, dpred{drawn(315, 6)},
      history{drawn(315, 12)};
  Buffer<float> loss{{0}}, norm{{0, 0}};
  Buffer<double> tiles{std::vector<double>(kernels::mse_scratch_bytes(kItems) / sizeof(double))};
  Buffer<double> chunks{std::vector<double>(1)};
  Buffer<float> w{drawn(kWeights, 7)}, g{drawn(kWeights, 8)}, m{drawn(kWeights, 9)},
      v{drawn(kWeights, 10, 9)}, ema{drawn(kWeights, 11)};

  /// With `keys` and coefficients by value, or where the pointers say.
  void run(RandomKey key, const Late<kernels::AdamStep>& adam,
           const Late<kernels::SamplerStep>& sampler) const {
    const auto stream_of = [&](std::uint32_t s) {
      RandomKey k = key;
      k.stream = s;
      return k;
    };
    const auto act = [](const Buffer<float>& b) { return kernels::Act{b.p, DType::f32}; };
    kernels::q_sample_images(stream(), kDims, images.p, index.p, {signal.p, noise.p, 50},
                             {stream_of(1), stream_of(2), stream_of(3), 9, true}, t.p, act(x_t));
    kernels::dropout_forward(stream(), kItems, {0.3f, stream_of(4), 9}, act(x_t), act(dropped));
    kernels::mse(stream(), {3, 35, 3}, act(dropped), {{nullptr, stream_of(2), 9}}, 1, tiles.p,
                 loss.p, act(dpred));
    kernels::adam_step(stream(), kWeights, adam, {w.p, g.p, m.p, v.p, ema.p, nullptr}, chunks.p,
                       norm.p);
    kernels::normal_fill(stream(), kItems, stream_of(5), 9, x.p);
    kernels::sampler_step(stream(), {3, 35, 3}, sampler, x.p, act(dropped),
                          {nullptr, stream_of(6), 9}, {x.p, {}, history.p});
  }
  std::vector<float> results() const {
    std::vector<float> all;
    for (const auto* b : {&x_t, &dropped, &x, &history, &dpred, &loss, &norm, &w, &m, &v, &ema}) {
      const auto values = b->read();
      all.insert(all.end(), values.begin(), values.end());
    }
    for (const std::int32_t time : t.read()) all.push_back(float(time));
    return all;
  }
};

kernels::AdamStep adam_of(std::uint32_t step) {
  return {0.9f, 0.1f, 0.99f, 0.01f, 0.1f / float(step + 1), 1.5f, 1e-8f, 0.01f, 2, 0.1f};
}
kernels::SamplerStep sampler_of(std::uint32_t step) {
  return {.x0_from_xt = 1.5f,
          .x0_from_out = -0.5f,
          .clip = true,
          .x0 = 0.5f,
          .xt = 0.25f * float(step),
          .out = 0.1f,
          .history = step == 0 ? 0.0f : 0.2f,
          .sigma = step % 2 ? 0.3f : 0.0f,
          .keep_x0 = 1};
}

TEST(Replay, WhatChangesFromStepToStepIsReadFromDeviceMemory) {
  Step eager, replayed;
  Buffer<std::uint32_t> step({0});
  Buffer<kernels::AdamStep> adam({adam_of(0)});
  Buffer<kernels::SamplerStep> sampler({sampler_of(0)});
  kernels::AdamStep bad_adam = adam_of(0);
  bad_adam.step_size = NAN;
  kernels::CapturedGraph graph;
  graph.capture(stream(), [&] {
    replayed.run({42, 0, {1000, step.p}}, {bad_adam, adam.p}, {{.x0 = NAN}, sampler.p});
  });
  std::vector<float> before;
  for (std::uint32_t i = 0; i < 3; ++i) {
    eager.run({42, 0, i}, {adam_of(i)}, {sampler_of(i)});
    step.set({i});
    adam.set({adam_of(i)});
    sampler.set({sampler_of(i)});
    graph.launch(stream());
    const auto got = replayed.results();
    for (const float f : got) ASSERT_TRUE(std::isfinite(f)) << "step " << i;
    EXPECT_EQ(got, eager.results()) << "step " << i;
    EXPECT_NE(got, before) << "step " << i;
    before = got;
  }
}

TEST(Replay, LaunchesAreAsFewAsDocumented) {
  const Step step;
  const auto before = simt::counters().launches;
  step.run({42, 0, 0}, {adam_of(0)}, {sampler_of(0)});
  kernels::synchronise(stream());
  // q_sample_images 1, dropout 1, mse 2, adam 2, normal_fill 1, sampler_step 1
  EXPECT_EQ(simt::counters().launches - before, 8u);
}

}  // namespace
}  // namespace haze
