// SPDX-License-Identifier: MIT
// time_embedding.cu — CUDA version. One thread per frequency and time writes a sine and a cosine. A
// few thousand threads: what it costs is the launch, so the exponential stays in double.
#include <cmath>

#include "kernels/cuda/vec.h"
#include "kernels/time_embedding/time_embedding.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 128;

/// The exponent of frequency i is rounded as TimeEmbeddingDims says: factor·i, then /divisor.
struct Exponent {
  float factor, divisor;
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    embed(TimeEmbeddingDims d, Exponent e, const std::int32_t* t, T* y) {
  const int half = d.dim / 2;
  for (std::size_t i = thread_of_grid(); i < std::size_t(d.n) * half; i += threads_of_grid()) {
    const std::size_t n = i / half;
    const int k = int(i - n * half);
    const float frequency = float(std::exp(double(e.factor * float(k) / e.divisor)));
    const float angle = float(t[n]) * frequency, sine = std::sin(angle), cosine = std::cos(angle);
    T* out = y + n * d.dim + k;
    out[0] = d.cosine_first ? cosine : sine;
    out[half] = d.cosine_first ? sine : cosine;
  }
}

}  // namespace

template <>
void time_embedding(CudaStream s, const TimeEmbeddingDims& d, const std::int32_t* t, Act y) {
  HAZE_CHECK(d.dim > 0 && d.dim % 2 == 0 && float(d.dim / 2) > d.freq_shift, "dim ", d.dim,
             ", freq_shift ", d.freq_shift, "; dim even and dim/2 > freq_shift");
  const double log_period = std::log(10000.0), steps = d.dim / 2 - double(d.freq_shift);
  const Exponent e = d.step_first ? Exponent{float(-log_period / steps), 1}
                                  : Exponent{float(-log_period), float(steps)};
  const unsigned blocks = blocks_for(std::size_t(d.n) * (d.dim / 2), kThreads);
  dispatch(y.dtype, [&]<class T>(T) {
    HAZE_LAUNCH((embed<T>), s, blocks, kThreads, 0, d, e, t, y.as<T>());
  });
}

}  // namespace haze::kernels
