// sampler_step.cu — CUDA version. One pass in one launch: a thread draws one block of Philox (none
// if sigma is 0) and takes its four elements a step on; x, eps and the results move once.
#include "kernels/sampler_step/sampler_step.h"
#include "kernels/simt/noise.h"

namespace haze::kernels {
namespace {

template <class T, bool kWhole>
__global__ void __launch_bounds__(kPieceThreads)
    step(ItemDims d, SamplerStep by_value, const SamplerStep* c_at, const float* x, const T* eps,
         Noise given, float* x_prev, T* x_act) {
  const SamplerStep c = c_at ? *c_at : by_value;
  const Noise noise = resolved(given);
  const unsigned blocks = unsigned(d.elements + kNormals - 1) / kNormals;
  for_each_piece(std::size_t(d.n), blocks, [&](std::size_t n, unsigned block) {
    const int first = int(block) * kNormals, count = d.elements - first;
    const std::size_t at = n * d.elements + first;
    float now[kNormals], e[kNormals], z[kNormals] = {};
    read<kNormals, kWhole>(x + at, count, now);
    read<kNormals, kWhole>(eps + at, count, e);
    if (c.sigma != 0) normals_of<kWhole>(noise, d, n, block, z);
#pragma unroll
    for (int k = 0; k < kNormals; ++k) {
      float x0 = c.x0_from_xt * now[k] + c.x0_from_eps * e[k];
      if (c.clip) {  // comparisons, not fmin: a NaN stays one
        x0 = x0 < c.lo ? c.lo : x0;
        x0 = x0 > c.hi ? c.hi : x0;
      }
      now[k] = c.x0 * x0 + c.xt * now[k] + c.eps * e[k] + c.sigma * z[k];
    }
    write<kNormals, kWhole>(x_prev + at, count, now);
    if (x_act) write<kNormals, kWhole>(x_act + at, count, now);
  });
}

}  // namespace

template <>
void sampler_step(CudaStream s, const ItemDims& d, const SamplerStep& c, const float* x,
                  ConstAct eps, const Noise& z, float* x_prev, Act x_act, const SamplerStep* c_at) {
  dispatch(eps.dtype, [&]<class T>(T) {
    whole_pieces<kNormals>(
        d.elements, {x, eps.data, z.given, x_prev, x_act.data}, [&]<bool kWhole>() {
          HAZE_LAUNCH((step<T, kWhole>), s,
                      piece_blocks(std::size_t(d.n), std::size_t(normal_blocks(d.elements))),
                      kPieceThreads, 0, d, c, c_at, x, eps.as<T>(), z, x_prev,
                      x_act ? x_act.as<T>() : nullptr);
        });
  });
}

}  // namespace haze::kernels
