// SPDX-License-Identifier: MIT
// pageable_test.cpp — host memory that a copy to the device reads may change as soon as copy_in has
// returned, also where the GPU reads it late: under a deferred schedule the emulator reads pageable
// memory when the copy is carried out, at a synchronisation.
#include <numeric>

#include "apps/config/find.h"
#include "kernels/cuda/runtime_api.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/graph.h"
#include "kernels/runtime/memory.h"
#include "kernels/simt/emulator/emulator.h"
#include "model/sampler.h"
#include "model/trainer.h"
#include "tests/support/test.h"

namespace haze {
namespace {

struct Pageable : testing::Test {
  const simt::Config before = simt::config();
  const CudaStream stream = std::get<CudaStream>(kernels::open_cuda(0));
  Pageable() { simt::config().schedule.deferred = true; }
  ~Pageable() override { simt::config() = before; }
};

struct OnDevice {
  OnDevice(CudaStream s, std::size_t bytes)
      : stream(s), p(static_cast<unsigned char*>(kernels::allocate(s, bytes))) {}
  ~OnDevice() { kernels::release(stream, p); }
  CudaStream stream;
  unsigned char* p;
};

TEST_F(Pageable, TheEmulatorReadsItWhenTheCopyIsCarriedOut) {
  const OnDevice x(stream, 8);
  std::vector<unsigned char> host(8, 1), got(8);
  ASSERT_EQ(cudaMemcpyAsync(x.p, host.data(), 8, cudaMemcpyHostToDevice, handle_of(stream)),
            cudaSuccess);
  std::fill(host.begin(), host.end(), 2);
  kernels::copy_out(stream, got.data(), x.p, 8);
  EXPECT_EQ(got, host);
}

TEST_F(Pageable, WhatWasCopiedInMayChangeAtOnce) {
  // From one byte to beyond what a slot holds, each value under way while later ones are sent.
  const std::size_t sizes[] = {1, 100, 4095, 4096, 4097, 20000};
  const std::size_t most = 20000;
  for (const simt::Schedule& schedule : simt::schedules(3)) {
    simt::config().schedule = schedule;
    simt::config().schedule.deferred = true;
    const OnDevice x(stream, std::size(sizes) * most);
    for (std::size_t i = 0; i < std::size(sizes); ++i) {
      std::vector<unsigned char> host(sizes[i], std::uint8_t(i + 1));
      kernels::copy_in(stream, x.p + i * most, host.data(), host.size());
      std::fill(host.begin(), host.end(), 99);
    }
    for (std::size_t i = 0; i < std::size(sizes); ++i) {
      std::vector<unsigned char> got(sizes[i]);
      kernels::copy_out(stream, got.data(), x.p + i * most, got.size());
      EXPECT_EQ(got, std::vector<unsigned char>(sizes[i], std::uint8_t(i + 1)))
          << sizes[i] << " bytes, " << schedule.str();
    }
  }
}

TEST_F(Pageable, ManySmallValuesUnderWayKeepTheirs) {
  constexpr int kValues = 100;  // several times round any ring
  for (const simt::Schedule& schedule : simt::schedules(3)) {
    simt::config().schedule = schedule;
    simt::config().schedule.deferred = true;
    const CudaStream other = std::get<CudaStream>(kernels::open_cuda(0));
    const OnDevice x(stream, kValues * sizeof(int)), y(other, kValues * sizeof(int));
    for (int i = 0; i < kValues; ++i) {
      int value = i;
      kernels::copy_in(stream, x.p + std::size_t(i) * sizeof(int), &value, sizeof value);
      kernels::copy_in(other, y.p + std::size_t(i) * sizeof(int), &value, sizeof value);
      value = -1;
    }
    std::vector<int> want(kValues), got(kValues);
    std::iota(want.begin(), want.end(), 0);
    kernels::copy_out(stream, got.data(), x.p, kValues * sizeof(int));
    EXPECT_EQ(got, want) << schedule.str();
    kernels::copy_out(other, got.data(), y.p, kValues * sizeof(int));
    EXPECT_EQ(got, want) << schedule.str();
  }
}

TEST_F(Pageable, ACopyFromTheHostIsNotCaptured) {
  const OnDevice x(stream, 8);
  int value = 3;
  kernels::CapturedGraph graph;
  try {
    graph.capture(stream, [&] { kernels::copy_in(stream, x.p, &value, sizeof value); });
    ADD_FAILURE() << "it was captured";
  } catch (const CheckError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("a copy of 4 bytes from the host is captured"));
  }
  try {
    graph.capture(stream, [&] {
      cudaMemcpyAsync(x.p, &value, sizeof value, cudaMemcpyHostToDevice, handle_of(stream));
    });
    ADD_FAILURE() << "it was captured";
  } catch (const simt::Error& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("4 bytes of pageable host memory"));
  }
  kernels::copy_in(stream, x.p, &value, sizeof value);  // the stream is usable again
  kernels::synchronise(stream);
}

/// Losses of a few steps, then what a few sampling steps drew.
std::vector<float> trained_and_sampled(CudaStream stream) {
  const apps::RunConfig config = apps::resolve(apps::load_config("points-moons"));
  const auto network = model::make_network(config.model);
  network->parameters().allocate(stream, 1, true, true, DType::f32);
  engine::Context context(stream);
  model::Trainer trainer(context, *network, config.diffusion, config.train, 1);
  const auto drawn = test::normal(2 * 40, 5);
  const std::vector<float> points(drawn.begin(), drawn.end());
  trainer.use({.height = 1, .width = 1, .channels = 2, .values = points});
  std::vector<float> got;
  for (std::uint32_t step = 0; step < 4; ++step) {  // two are called, then they are replayed
    std::vector<std::int32_t> index(7);
    for (std::size_t i = 0; i < index.size(); ++i) index[i] = std::int32_t((step * 7 + i) % 40);
    got.push_back(trainer.step(step, index).loss);
  }
  model::SamplingOptions options;
  options.steps = 5;
  options.batch = 3;
  const auto images = model::sample(context, *network, config.diffusion, 3, 1, 1, 2, options);
  got.insert(got.end(), images.begin(), images.end());
  return got;
}

TEST_F(Pageable, TrainingAndSamplingComeToTheSameBitsWhenCopiesAreLate) {
  simt::config().schedule = {};
  const std::vector<float> want = trained_and_sampled(stream);
  for (const float v : want) EXPECT_TRUE(std::isfinite(v));
  for (const simt::Schedule& schedule : simt::schedules(2)) {
    simt::config().schedule = schedule;
    EXPECT_EQ(trained_and_sampled(stream), want) << schedule.str();
  }
}

}  // namespace
}  // namespace haze
