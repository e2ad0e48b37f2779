// SPDX-License-Identifier: MIT
// cross_entropy.cu — CUDA version. An item is a warp's work: its lanes take the classes in turn,
// and the largest logit and the sum of exponentials are butterflies of shuffles, so no shared
// memory is needed. Logits are read three times, from L1 but for the first. One block then adds the
// items' losses in a fixed order.
#include <limits>

#include "kernels/base/math.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

HAZE_DEVICE float warp_max(float v) {
  for (int lanes = 16; lanes > 0; lanes /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, lanes));
  return v;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    item_losses(CrossEntropyDims d, const T* logits, const std::int32_t* labels, float factor,
                double* each, T* dlogits) {
  const int n = int(blockIdx.x) * kWarps + int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  if (n >= d.n) return;  // a whole warp
  const T* z = logits + std::size_t(n) * d.classes;
  float largest = -std::numeric_limits<float>::infinity();
  for (int c = lane; c < d.classes; c += 32) largest = fmaxf(largest, float(z[c]));
  largest = warp_max(largest);
  float sum = 0;
  for (int c = lane; c < d.classes; c += 32) sum += exp_f32(float(z[c]) - largest);
  sum = warp_sum(sum);
  const std::int32_t label = labels[n];
  const bool known = label >= 0 && label < d.classes;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  if (dlogits) {
    T* dz = dlogits + std::size_t(n) * d.classes;
    for (int c = lane; c < d.classes; c += 32) {
      const float p = exp_f32(float(z[c]) - largest) / sum;
      dz[c] = known ? factor * (c == label ? p - 1.0f : p) : nan;
    }
  }
  if (lane == 0) each[n] = known ? double(logf(sum) + (largest - float(z[label]))) : double(nan);
}

__global__ void __launch_bounds__(kThreads) mean_of(int n, const double* each, float* loss) {
  HAZE_SHARED(double[32], smem);
  double sum = 0;
  for (int i = int(threadIdx.x); i < n; i += kThreads) sum += each[i];
  sum = block_sum(sum, smem);
  if (threadIdx.x == 0) *loss = float(sum / n);
}

}  // namespace

template <>
void cross_entropy(CudaStream s, const CrossEntropyDims& d, ConstAct logits,
                   const std::int32_t* labels, float scale, void* scratch, float* loss,
                   Act dlogits) {
  double* each = static_cast<double*>(scratch);
  dispatch(logits.dtype, [&]<class T>(T) {
    HAZE_LAUNCH((item_losses<T>), s, unsigned((d.n + kWarps - 1) / kWarps), kThreads, 0, d,
                logits.as<T>(), labels, scale / float(d.n), each,
                dlogits ? dlogits.as<T>() : nullptr);
  });
  HAZE_LAUNCH(mean_of, s, 1, kThreads, 0, d.n, each, loss);
}

}  // namespace haze::kernels
