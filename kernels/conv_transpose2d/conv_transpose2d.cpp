// SPDX-License-Identifier: MIT
// conv_transpose2d.cpp — CPU backend: the 4x4 stride-2 convolution from the doubled image (co
// channels) to the small one (ci), run backward. oneDNN's own deconvolution does the same, but adds
// the bias to NHWC images, and sums its gradient, several times slower than the convolution takes.
#include "kernels/conv_transpose2d/conv_transpose2d.h"

#include "kernels/base/stream.h"
#include "kernels/cpu/conv_weights.h"
#include "kernels/cpu/loops.h"

namespace haze::kernels {
namespace {

using onednn::ConvBackwardData;
using onednn::ConvForward;
using onednn::Summand;

/// Its input is our y and its output our x, so its weights [co,kh,kw,ci] are ours with ci first.
onednn::ConvShape mirror(const ConvTranspose2dDims& d, DType type) {
  return {d.n, 2 * d.h, 2 * d.w, d.co, d.h, d.w, d.ci, 4,
          4,   2,       1,       1,    1,   1,   type, onednn::WeightLayout::ihwo};
}

/// Images per call of the primitive. Where the channels do not fill vectors, oneDNN 3 plans one
/// image otherwise than many, and sums in another order: there every image gets the plan of one.
ConvTranspose2dDims plan(ConvTranspose2dDims d) {
  if (d.ci % 16 != 0 || d.co % 16 != 0) d.n = 1;
  return d;
}

ConvForward& backward_data(const ConvTranspose2dDims& d, const Grad& dx) {
  return ConvForward::of({mirror(d, dx.dtype), false, dx.adds() ? Summand::in_y : Summand::none});
}

template <class T>
void add_bias(int pixels, int channels, const float* bias, T* y) {
#pragma omp parallel for schedule(static)
  for (int p = 0; p < pixels; ++p) {
    T* row = y + std::size_t(p) * channels;
#pragma omp simd
    for (int c = 0; c < channels; ++c) row[c] = float(row[c]) + bias[c];
  }
}

struct WeightScratch : Carver {
  void* conv;
  float* sums;
  WeightScratch(void* base, const ConvTranspose2dDims& d, DType type, const Grad& dw,
                const Grad& dbias)
      : Carver(base),
        conv(take(dw ? conv_weights::scratch_bytes(mirror(d, type), dw, false) : 0)),
        sums(static_cast<float*>(take(dbias ? loops::kChunks * sizeof(float) * d.co : 0))) {}
};

}  // namespace

template <>
std::size_t conv_transpose2d_forward_scratch_bytes(CpuStream, const ConvTranspose2dDims& d,
                                                   DType type) {
  return ConvBackwardData::of(mirror(plan(d), type)).scratch_bytes();
}

template <>
void conv_transpose2d_forward(CpuStream, const ConvTranspose2dDims& d, ConstAct x, ConstAct w,
                              const float* bias, Act y, void* scratch) {
  const ConvTranspose2dDims part = plan(d);
  ConvBackwardData& conv = ConvBackwardData::of(mirror(part, y.dtype));
  dispatch(y.dtype, [&]<class T>(T) {
    const std::size_t pixels = std::size_t(d.h) * d.w;
    for (int n = 0; n < d.n; n += part.n)
      conv.run(x.as<T>() + n * pixels * d.ci, w.data, y.as<T>() + n * 4 * pixels * d.co, scratch);
    if (bias) add_bias(d.n * 4 * d.h * d.w, d.co, bias, y.as<T>());
  });
}

template <>
std::size_t conv_transpose2d_backward_data_scratch_bytes(CpuStream, const ConvTranspose2dDims& d,
                                                         const Grad& dx) {
  return backward_data(d, dx).scratch_bytes();
}

template <>
void conv_transpose2d_backward_data(CpuStream, const ConvTranspose2dDims& d, ConstAct dy,
                                    ConstAct w, Grad dx, void* scratch) {
  HAZE_CHECK(dy.dtype == dx.dtype, "dy is ", name_of(dy.dtype), ", dx is ", name_of(dx.dtype));
  backward_data(d, dx).run(dy.data, w.data, nullptr, nullptr, dx.data, scratch);
}

template <>
std::size_t conv_transpose2d_backward_weights_scratch_bytes(CpuStream, const ConvTranspose2dDims& d,
                                                            DType type, const Grad& dw,
                                                            const Grad& dbias) {
  return WeightScratch(nullptr, d, type, dw, dbias).bytes();
}

template <>
void conv_transpose2d_backward_weights(CpuStream, const ConvTranspose2dDims& d, ConstAct x,
                                       ConstAct dy, Grad dw, Grad dbias, void* scratch) {
  const WeightScratch part(scratch, d, dy.dtype, dw, dbias);
  if (dw) conv_weights::run(mirror(d, dy.dtype), dy.data, x.data, dw, nullptr, part.conv);
  if (dbias)
    dispatch(dy.dtype, [&]<class T>(T) {
      loops::column_sums(d.n * 4 * d.h * d.w, d.co, dy.as<T>(), dbias.as<float>(), dbias.adds(),
                         part.sums);
    });
}

}  // namespace haze::kernels
