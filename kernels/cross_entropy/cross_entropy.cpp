// SPDX-License-Identifier: MIT
// cross_entropy.cpp — CPU backend: a row per item, three short loops over its classes.
#include "kernels/cross_entropy/cross_entropy.h"

#include <algorithm>
#include <limits>

#include "kernels/base/math.h"
#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// The loss of one item; dz [classes] unless null.
template <class T>
float of_item(int classes, const T* z, std::int32_t label, float factor, T* dz) {
  if (label < 0 || label >= classes) {
    if (dz) std::fill_n(dz, classes, T(kNan));
    return kNan;
  }
  float largest = float(z[0]);
  for (int c = 1; c < classes; ++c) largest = std::max(largest, float(z[c]));
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int c = 0; c < classes; ++c) sum += exp_f32(float(z[c]) - largest);
  if (dz) {
    const float share = factor / sum;
#pragma omp simd
    for (int c = 0; c < classes; ++c) dz[c] = share * exp_f32(float(z[c]) - largest);
    dz[label] = factor * (exp_f32(float(z[label]) - largest) / sum - 1.0f);
  }
  return std::log(sum) + (largest - float(z[label]));
}

}  // namespace

template <>
void cross_entropy(CpuStream, const CrossEntropyDims& d, ConstAct logits,
                   const std::int32_t* labels, float scale, void* scratch, float* loss,
                   Act dlogits) {
  double* each = static_cast<double*>(scratch);
  dispatch(logits.dtype, [&]<class T>(T) {
    const T* z = logits.as<T>();
    T* dz = dlogits ? dlogits.as<T>() : nullptr;
#pragma omp parallel for schedule(static) if (d.n * d.classes > 4096)
    for (int n = 0; n < d.n; ++n) {
      const std::size_t row = std::size_t(n) * d.classes;
      each[n] = double(
          of_item(d.classes, z + row, labels[n], scale / float(d.n), dz ? dz + row : nullptr));
    }
  });
  double sum = 0;
  for (int n = 0; n < d.n; ++n) sum += each[n];
  *loss = float(sum / d.n);
}

}  // namespace haze::kernels
