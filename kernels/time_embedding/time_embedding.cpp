// SPDX-License-Identifier: MIT
// time_embedding.cpp — CPU backend. A few thousand sines per call: exactness before speed.
#include "kernels/time_embedding/time_embedding.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {

/// Frequencies that lie on the stack at a time: those of every network in use at once.
constexpr int kTile = 1024;

float frequency(const TimeEmbeddingDims& d, int i) {
  const double log_period = std::log(10000.0), steps = d.dim / 2 - double(d.freq_shift);
  const float exponent = d.step_first ? float(-log_period / steps) * float(i)
                                      : float(-log_period) * float(i) / float(steps);
  return float(std::exp(double(exponent)));
}

template <class T>
void embed(const TimeEmbeddingDims& d, const std::int32_t* t, T* y) {
  const int half = d.dim / 2;
  for (int from = 0; from < half; from += kTile) {
    const int count = std::min(kTile, half - from);
    float f[kTile];
    for (int i = 0; i < count; ++i) f[i] = frequency(d, from + i);
#pragma omp parallel for schedule(static)
    for (int n = 0; n < d.n; ++n) {
      T* first = y + std::size_t(n) * d.dim + from;
      T *sine = d.cosine_first ? first + half : first,
        *cosine = d.cosine_first ? first : first + half;
      for (int i = 0; i < count; ++i) {
        const float angle = float(t[n]) * f[i];
        sine[i] = std::sin(angle);
        cosine[i] = std::cos(angle);
      }
    }
  }
}

}  // namespace

template <>
void time_embedding(CpuStream, const TimeEmbeddingDims& d, const std::int32_t* t, Act y) {
  HAZE_CHECK(d.dim > 0 && d.dim % 2 == 0 && float(d.dim / 2) > d.freq_shift, "dim ", d.dim,
             ", freq_shift ", d.freq_shift, "; dim even and dim/2 > freq_shift");
  dispatch(y.dtype, [&]<class T>(T) { embed(d, t, y.as<T>()); });
}

}  // namespace haze::kernels
