// SPDX-License-Identifier: MIT
// guidance.cpp — CPU backend: an item per thread, its spreads first, if they are wanted.
#include "kernels/guidance/guidance.h"

#include <cmath>
#include <utility>

#include "kernels/base/stream.h"
#include "kernels/cpu/prediction_tiles.h"

namespace haze::kernels {
namespace {

float guided(float c, float u, float more) { return c + more * (c - u); }

/// phi·std(c)/std(g) + 1 - phi of one item: means first, then the squares about them.
template <class T>
float factor(const PredictionDims& d, const T* c, const T* u, const Guidance& g) {
  const int elements = d.elements(), width = d.outputs() / d.pixels;
  double mean_c = 0, mean_g = 0, squares_c = 0, squares_g = 0;
  for (const bool centred : {false, true}) {
    for (int p = 0; p < d.pixels; ++p)
      for (int at = p * width; at < p * width + d.channels; ++at) {
        const double e = double(float(c[at])) - mean_c;
        const double f = double(guided(float(c[at]), float(u[at]), g.weight - 1)) - mean_g;
        squares_c += centred ? e * e : e;
        squares_g += centred ? f * f : f;
      }
    if (centred) break;
    mean_c = std::exchange(squares_c, 0) / elements;
    mean_g = std::exchange(squares_g, 0) / elements;
  }
  if (squares_g == 0) return 1;
  return g.rescale * float(std::sqrt(squares_c / squares_g)) + 1 - g.rescale;
}

template <class T>
void guide(const PredictionDims& d, const T* c, const T* u, const Guidance& g, T* out) {
  const int elements = d.elements(), outputs = d.outputs();
#pragma omp parallel for schedule(static)
  for (int n = 0; n < d.n; ++n) {
    const T *from = c + std::size_t(n) * outputs, *other = u + std::size_t(n) * outputs;
    T* to = out + std::size_t(n) * outputs;
    const float times = g.rescale == 0 ? 1 : factor(d, from, other, g);
    each_output(d, 0, elements, [&](int, int at) {
      to[at] = times * guided(float(from[at]), float(other[at]), g.weight - 1);
    });
    if (d.variances && to != from)
      each_output(d, 0, elements,
                  [&](int, int at) { to[at + d.channels] = from[at + d.channels]; });
  }
}

}  // namespace

template <>
void guidance(CpuStream, const PredictionDims& d, ConstAct c, ConstAct u, const Guidance& g, void*,
              Act out) {
  dispatch(c.dtype, [&]<class T>(T) { guide(d, c.as<T>(), u.as<T>(), g, out.as<T>()); });
}

}  // namespace haze::kernels
