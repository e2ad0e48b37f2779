// SPDX-License-Identifier: MIT
// sampler_step.cu — CUDA version. One pass in one launch: a thread draws one block of Philox (none
// if sigma is 0) and takes its four elements a step on; every array moves once. Variances beside
// the predictions are a version of their own, so that the plain one keeps its vectors.
#include <limits>

#include "kernels/cuda/prediction_quads.h"
#include "kernels/sampler_step/sampler_step.h"

namespace haze::kernels {
namespace {

template <class T, bool kWhole, bool kVariances>
__global__ void __launch_bounds__(kVecThreads)
    step(PredictionDims d, Late<SamplerStep> late, const float* x, const T* out, Noise given,
         SamplerOut to, T* act) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const SamplerStep c = late.get();
  const Noise noise = resolved(given);
  const ItemDims items = d.items();
  const unsigned blocks = unsigned(items.elements + kNormals - 1) / kNormals;
  for_each_vec(std::size_t(d.n), blocks, [&](std::size_t n, unsigned block) {
    const int first = int(block) * kNormals, count = items.elements - first;
    const std::size_t at = n * items.elements + first;
    float now[kNormals], e[kNormals], z[kNormals] = {};
    if (c.sigma != 0) {  // z becomes sigma·z
      normals_of<kWhole>(noise, items, n, block, z);
      if (kVariances && c.learned) {
        const float middle = (c.log_variance_max + c.log_variance_min) / 4;
        const float half = (c.log_variance_max - c.log_variance_min) / 4;
        read_at(out + n * d.outputs() + d.channels, outputs_of(d, first), count, e);
#pragma unroll
        for (int k = 0; k < kNormals; ++k) z[k] *= exp_f32(middle + half * e[k]);
      } else {
        const float sigma = c.learned ? kNan : c.sigma;
#pragma unroll
        for (int k = 0; k < kNormals; ++k) z[k] *= sigma;
      }
    }
    if (c.history != 0) {  // and that plus the history's part
      float h[kNormals] = {kNan, kNan, kNan, kNan};
      if (to.history) read<kNormals, kWhole>(to.history + at, count, h);
#pragma unroll
      for (int k = 0; k < kNormals; ++k) z[k] += c.history * h[k];
    }
    read<kNormals, kWhole>(x + at, count, now);
    if constexpr (kVariances)
      read_at(out + n * d.outputs(), outputs_of(d, first), count, e);
    else
      read<kNormals, kWhole>(out + at, count, e);
    float x0[kNormals];
#pragma unroll
    for (int k = 0; k < kNormals; ++k) {
      x0[k] = c.x0_from_xt * now[k] + c.x0_from_out * e[k];
      if (c.clip) {  // comparisons, not fmin: a NaN stays one
        x0[k] = x0[k] < c.lo ? c.lo : x0[k];
        x0[k] = x0[k] > c.hi ? c.hi : x0[k];
      }
      z[k] += c.x0 * x0[k] + c.xt * now[k] + c.out * e[k];
    }
    write<kNormals, kWhole>(to.x + at, count, z);
    if (act) write<kNormals, kWhole>(act + at, count, z);
    if (to.x0) write<kNormals, kWhole>(to.x0 + at, count, x0);
    if (!to.history) return;
#pragma unroll
    for (int k = 0; k < kNormals; ++k)
      z[k] = c.keep_x0 * x0[k] + c.keep_xt * now[k] + c.keep_out * e[k];
    write<kNormals, kWhole>(to.history + at, count, z);
  });
}

}  // namespace

template <>
void sampler_step(CudaStream s, const PredictionDims& d, const Late<SamplerStep>& c, const float* x,
                  ConstAct out, const Noise& z, const SamplerOut& to) {
  const auto blocks = vec_blocks(std::size_t(d.n), std::size_t(normal_blocks(d.elements())));
  dispatch(out.dtype, [&]<class T>(T) {
    const auto launch = [&]<bool kWhole, bool kVariances>() {
      HAZE_LAUNCH((step<T, kWhole, kVariances>), s, blocks, kVecThreads, 0, d, c, x, out.as<T>(), z,
                  to, to.act ? to.act.as<T>() : nullptr);
    };
    whole_vecs<kNormals>(d.elements(), {x, out.data, z.given, to.x, to.act.data, to.history, to.x0},
                         [&]<bool kWhole>() {
                           if (d.variances) return launch.template operator()<kWhole, true>();
                           launch.template operator()<kWhole, false>();
                         });
  });
}

}  // namespace haze::kernels
