// time_embedding.cpp — CPU backend. A few thousand sines per call: exactness before speed.
#include "kernels/time_embedding/time_embedding.h"

#include <cmath>
#include <vector>

#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {

std::vector<float> frequencies(const TimeEmbeddingDims& d) {
  const int half = d.dim / 2;
  const double log_period = std::log(10000.0), steps = half - double(d.freq_shift);
  std::vector<float> f;
  for (int i = 0; i < half; ++i) {
    const float exponent = d.step_first ? float(-log_period / steps) * float(i)
                                        : float(-log_period) * float(i) / float(steps);
    f.push_back(float(std::exp(double(exponent))));
  }
  return f;
}

template <class T>
void embed(const TimeEmbeddingDims& d, const std::int32_t* t, T* y) {
  const int half = d.dim / 2;
  const std::vector<float> f = frequencies(d);
#pragma omp parallel for schedule(static)
  for (int n = 0; n < d.n; ++n) {
    T* first = y + std::size_t(n) * d.dim;
    T *sine = d.cosine_first ? first + half : first,
      *cosine = d.cosine_first ? first : first + half;
    for (int i = 0; i < half; ++i) {
      const float angle = float(t[n]) * f[std::size_t(i)];
      sine[i] = std::sin(angle);
      cosine[i] = std::cos(angle);
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
