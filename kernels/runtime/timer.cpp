// SPDX-License-Identifier: MIT
// timer.cpp — CPU backend.
#include "kernels/runtime/timer.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "kernels/runtime/memory.h"

namespace haze::kernels {

template <>
double time_milliseconds(CpuStream, int times, const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

template <>
ColdTimer<CpuStream>::ColdTimer(CpuStream stream)
    : stream_(stream), bytes_(std::size_t{128} << 20), elsewhere_(allocate(stream, bytes_)) {}

template <>
ColdTimer<CpuStream>::~ColdTimer() {
  release(stream_, elsewhere_);
}

template <>
double ColdTimer<CpuStream>::milliseconds(const std::function<void()>& work) {
  constexpr std::size_t kPage = 4096;
#pragma omp parallel for schedule(static)  // every core's own caches too
  for (std::size_t at = 0; at < bytes_; at += kPage)
    std::memset(static_cast<char*>(elsewhere_) + at, 0, kPage);
  return time_milliseconds(stream_, 1, work);
}

template <>
Roof measure_roof(CpuStream stream) {
  constexpr std::size_t n = std::size_t{256} << 18;  // floats: 256 MiB
  auto* a = static_cast<float*>(allocate(stream, n * sizeof(float)));
  auto* b = static_cast<float*>(allocate(stream, n * sizeof(float)));
  const auto copy = [&] {
#pragma omp parallel for schedule(static)
    for (std::size_t i = 0; i < n; ++i) b[i] = a[i];
  };
  std::fill_n(a, n, 1.0f);
  copy();
  double best = 1e30;
  for (int i = 0; i < 5; ++i) best = std::min(best, time_milliseconds(stream, 1, copy));
  release(stream, a);
  release(stream, b);
  return {2e3 * n * sizeof(float) / best, 0};
}

}  // namespace haze::kernels
