// SPDX-License-Identifier: MIT
// timer.cu — CUDA backend.
#include <algorithm>

#include "kernels/cuda/ptx.h"
#include "kernels/cuda/runtime_api.h"
#include "kernels/cuda/vec.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/graph.h"
#include "kernels/runtime/memory.h"
#include "kernels/runtime/timer.h"

namespace haze::kernels {
namespace {

constexpr int kMatrixWarps = 8, kChains = 8;

/// Multiplies registers by registers: no memory, eight independent chains per warp.
__global__ void __launch_bounds__(32 * kMatrixWarps) multiply_only(int rounds, float* out) {
  float c[kChains][4] = {};
  // Pairs of bf16 of ordinary size, each lane's its own: zeros take less power, and less power is a
  // higher clock. Those of b have both signs, so that sums stay small.
  std::uint32_t a[4];
#pragma unroll
  for (unsigned i = 0; i < 4; ++i)
    a[i] = 0x3f803f80u | ((threadIdx.x * 0x9e3779b9u + i * 0x85ebca6bu) >> 3 & 0x007f007fu);
  for (int i = 0; i < rounds; ++i)
#pragma unroll
    for (int k = 0; k < kChains; ++k) ptx::mma_m16n8k16_bf16(c[k], a, 0x3fb5bf9au, 0xbfa23fd3u);
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kChains; ++k) sum += c[k][0] + c[k][1] + c[k][2] + c[k][3];
  out[std::size_t(blockIdx.x) * blockDim.x + threadIdx.x] = sum;
}

__global__ void __launch_bounds__(256) copy_only(std::size_t vectors, const float* x, float* y) {
  for (std::size_t i = std::size_t(blockIdx.x) * 256 + threadIdx.x; i < vectors;
       i += std::size_t(gridDim.x) * 256)
    store(y + i * 4, load<4>(x + i * 4));
}

__global__ void nothing() {}

/// Of memory that belongs to nobody: to write it takes about 0.1 ms, long enough to launch what
/// follows, and leaves nothing else in the L2 cache.
std::size_t elsewhere_bytes() {
  return std::max<std::size_t>(4 * cuda_device_info().l2_bytes, 1 << 16);
}

struct Elsewhere {
  explicit Elsewhere(CudaStream s)
      : stream(s), bytes(elsewhere_bytes()), data(allocate(s, bytes)) {}
  ~Elsewhere() { release(stream, data); }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;
  CudaStream stream;
  std::size_t bytes;
  void* data;
};

/// Of multiply_only: about a millisecond.
int rounds_on(const CudaDeviceInfo& device) { return device.emulated ? 1 : 4096; }

double between(const CudaEvent& from, const CudaEvent& to) {
  HAZE_CUDA_CHECK(cudaEventSynchronize(to.handle));
  float milliseconds = 0;
  HAZE_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, from.handle, to.handle));
  return milliseconds;
}

}  // namespace

template <>
double time_milliseconds(CudaStream stream, int times, const std::function<void()>& work) {
  CapturedGraph graph;
  graph.capture(stream, [&] {
    for (int i = 0; i < times; ++i) work();
  });
  const Elsewhere elsewhere(stream);
  const CudaEvent from(true), to(true);
  // While these two are at work the host launches what is timed: `from` is reached when it is there
  // already. The first launch also sends the graph to the device and fills the caches again.
  zero(stream, elsewhere.data, elsewhere.bytes);
  graph.launch(stream);
  HAZE_CUDA_CHECK(cudaEventRecord(from.handle, handle_of(stream)));
  graph.launch(stream);
  HAZE_CUDA_CHECK(cudaEventRecord(to.handle, handle_of(stream)));
  return between(from, to);
}

template <>
ColdTimer<CudaStream>::ColdTimer(CudaStream stream)
    : stream_(stream), bytes_(elsewhere_bytes()), elsewhere_(allocate(stream, bytes_)) {}

template <>
ColdTimer<CudaStream>::~ColdTimer() {
  release(stream_, elsewhere_);
}

template <>
double ColdTimer<CudaStream>::milliseconds(const std::function<void()>& work) {
  const CudaEvent from(true), to(true);
  zero(stream_, elsewhere_, bytes_);
  HAZE_CUDA_CHECK(cudaEventRecord(from.handle, handle_of(stream_)));
  work();
  HAZE_CUDA_CHECK(cudaEventRecord(to.handle, handle_of(stream_)));
  return between(from, to);
}

template <>
Roof measure_roof(CudaStream stream) {
  const CudaDeviceInfo device = cuda_device_info();
  const std::size_t floats = std::size_t{device.emulated ? 1u : 256u} << 18;
  const unsigned blocks = unsigned(device.multiprocessors) * 4;
  const int rounds = rounds_on(device);
  auto* x = static_cast<float*>(allocate(stream, 2 * floats * sizeof(float)));
  zero(stream, x, 2 * floats * sizeof(float));
  Roof roof;
  for (int i = 0; i < (device.emulated ? 1 : 6); ++i) {  // the first also warms up
    const double copy = time_milliseconds(stream, 1, [&] {
      HAZE_LAUNCH(copy_only, stream, blocks * 4, 256, 0, floats / 4, x, x + floats);
    });
    const double multiply = time_milliseconds(stream, 1, [&] {
      HAZE_LAUNCH(multiply_only, stream, blocks, 32 * kMatrixWarps, 0, rounds, x);
    });
    roof.copy_bytes_per_s = std::max(roof.copy_bytes_per_s, 2e3 * double(floats) * 4 / copy);
    const double flops = 2.0 * 16 * 8 * 16 * kChains * kMatrixWarps * blocks * rounds;
    roof.matrix_flops = std::max(roof.matrix_flops, 1e3 * flops / multiply);
  }
  release(stream, x);
  return roof;
}

TimerCheck check_timers(CudaStream stream) {
  const CudaDeviceInfo device = cuda_device_info();
  const unsigned blocks = unsigned(device.multiprocessors) * 4;
  auto* out = static_cast<float*>(
      allocate(stream, std::size_t(blocks) * 32 * kMatrixWarps * sizeof(float)));
  ColdTimer<CudaStream> cold(stream);
  const auto said = [&](const std::function<void()>& work) {
    constexpr int kCalls = 8, kTimes = 5;
    double hots[kTimes], colds[kTimes];
    work();
    for (int i = 0; i < kTimes; ++i) {
      hots[i] = time_milliseconds(stream, kCalls, work) / kCalls;
      colds[i] = cold.milliseconds(work);
    }
    std::sort(hots, hots + kTimes);
    std::sort(colds, colds + kTimes);
    return TimerCheck::Said{hots[kTimes / 2], colds[kTimes / 2]};
  };
  const TimerCheck check{said([&] { HAZE_LAUNCH(nothing, stream, 1, 32, 0); }), said([&] {
                           HAZE_LAUNCH(multiply_only, stream, blocks, 32 * kMatrixWarps, 0,
                                       rounds_on(device), out);
                         })};
  release(stream, out);
  return check;
}

}  // namespace haze::kernels
