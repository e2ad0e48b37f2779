// SPDX-License-Identifier: MIT
// labels.cu — CUDA version: a thread per item. A batch is a few hundred; what counts is that it is
// one launch which a graph can replay.
#include "kernels/cuda/simt.h"
#include "kernels/labels/labels.h"

namespace haze::kernels {
namespace {

constexpr unsigned kThreads = 128;

__global__ void __launch_bounds__(kThreads)
    gather(LabelDims d, const std::int32_t* labels, const std::int32_t* index, LabelDrop drop,
           std::uint64_t threshold, std::int32_t* out) {
  const unsigned n = blockIdx.x * kThreads + threadIdx.x;
  if (n >= unsigned(d.n)) return;
  const std::uint32_t bits = random4(resolved(drop.key), drop.first_item + n, 0).v[0];
  const std::int32_t from = index[n];
  std::int32_t label = -1;
  if (unsigned(from) < unsigned(d.stored)) label = bits < threshold ? drop.none : labels[from];
  out[n] = label;
}

}  // namespace

template <>
void gather_labels(CudaStream s, const LabelDims& d, const std::int32_t* labels,
                   const std::int32_t* index, const LabelDrop& drop, std::int32_t* out) {
  if (d.n == 0) return;
  HAZE_LAUNCH(gather, s, (unsigned(d.n) + kThreads - 1) / kThreads, kThreads, 0, d, labels, index,
              drop, drop_threshold(drop.probability), out);
}

}  // namespace haze::kernels
