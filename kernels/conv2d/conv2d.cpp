// SPDX-License-Identifier: MIT
// conv2d.cpp — CPU backend: oneDNN's convolutions with the bias and the residual inside them. The
// sum per image and channel (time embedding) is laid into y first, and the convolution added to it.
// oneDNN reads one tensor: x in two is joined in scratch for the call, dx comes apart from there.
#include "kernels/conv2d/conv2d.h"

#include <algorithm>

#include "kernels/base/stream.h"
#include "kernels/conv2d/one_output.h"
#include "kernels/cpu/conv_weights.h"
#include "kernels/cpu/loops.h"

namespace haze::kernels {
namespace {

using onednn::ConvBackwardData;
using onednn::ConvForward;
using onednn::Summand;

onednn::ConvShape shape(const Conv2dDims& d, DType type) {
  return {d.n,  d.h,      d.w,       d.ci,       d.ho(),       d.wo(),      d.co, d.kh,
          d.kw, d.stride, d.pad_top, d.pad_left, d.pad_bottom, d.pad_right, type, {}};
}

ConvForward& forward(const Conv2dDims& d, DType type, const Conv2dSummands& summands) {
  const Summand summand = summands.per_channel ? Summand::in_y
                          : summands.residual  ? Summand::residual
                                               : Summand::none;
  return ConvForward::of({shape(d, type), summands.bias != nullptr, summand});
}

template <class T>
const T* optional(const ConstAct& a) {
  return a ? a.as<T>() : nullptr;
}

/// y[n,p,c] = v[n,c] (+ residual[n,p,c]).
template <class T>
void fill(int n, int pixels, int channels, const T* v, const T* residual, T* y) {
#pragma omp parallel for collapse(2) schedule(static)
  for (int i = 0; i < n; ++i)
    for (int p = 0; p < pixels; ++p) {
      const std::size_t at = (std::size_t(i) * pixels + p) * channels;
      const T* add = v + std::size_t(i) * channels;
      T* out = y + at;
      if (residual) {
        const T* row = residual + at;
#pragma omp simd
        for (int c = 0; c < channels; ++c) out[c] = float(row[c]) + float(add[c]);
      } else {
        std::copy_n(add, channels, out);
      }
    }
}

std::size_t pixels_of(const Conv2dDims& d) { return std::size_t(d.n) * d.h * d.w; }
std::size_t joined_bytes(const Conv2dDims& d, DType type) {
  return d.ci2 > 0 ? pixels_of(d) * d.ci * size_of(type) : 0;
}
/// x itself, or both its tensors joined at `place`.
ConstAct whole(const Conv2dDims& d, const Joined<ConstAct>& x, void* place) {
  check_joined(d.ci, d.ci2, x);
  if (d.ci2 == 0) return x.first;
  const Act to{place, x.first.dtype};
  dispatch(to.dtype, [&]<class T>(T) {
    loops::join_channels(pixels_of(d), d.ci - d.ci2, d.ci2, x.first.as<T>(), x.second.as<T>(),
                         to.as<T>());
  });
  return to;
}

struct ForwardScratch : Carver {
  void *x, *conv;
  ForwardScratch(void* base, const Conv2dDims& d, DType type, const Conv2dSummands& summands)
      : Carver(base),
        x(take(joined_bytes(d, type))),
        conv(take(one_output::suits(d) ? 0 : forward(d, type, summands).scratch_bytes())) {}
};

DType type_of(const Joined<Grad>& dx) { return dx.first ? dx.first.dtype : dx.second.dtype; }

struct DataScratch : Carver {
  void *conv, *dx;
  DataScratch(void* base, const Conv2dDims& d, const Joined<Grad>& to)
      : Carver(base),
        conv(take(ConvBackwardData::of(shape(d, type_of(to))).scratch_bytes())),
        dx(take(d.ci2 > 0 || to.first.adds() ? pixels_of(d) * d.ci * size_of(type_of(to)) : 0)) {}
};

/// oneDNN's bf16 weight gradient carries the bias's at little cost; elsewhere an own pass sums it, and
/// the sums per image, where wanted, hold it anyway.
bool bias_with_weights(const Conv2dDims& d, DType type, const Conv2dWeightGrads& g) {
  return g.w && g.bias && !g.per_channel && !one_output::suits(d) &&
         conv_weights::native(shape(d, type), g.w.dtype, true, g.w.adds());
}

struct WeightScratch : Carver {
  void *x, *conv;
  float* sums;  // [n,co], or [co] in its first row
  WeightScratch(void* base, const Conv2dDims& d, DType type, const Conv2dWeightGrads& g)
      : Carver(base),
        x(take(g.w ? joined_bytes(d, type) : 0)),
        conv(take(conv_bytes(d, type, g))),
        sums(static_cast<float*>(take(std::size_t(d.n) * d.co * sizeof(float)))) {}
  static std::size_t conv_bytes(const Conv2dDims& d, DType type, const Conv2dWeightGrads& g) {
    if (!g.w) return 0;
    if (!one_output::suits(d))
      return conv_weights::scratch_bytes(shape(d, type), g.w, bias_with_weights(d, type, g));
    return sizeof(float) * (one_output::kChunks + 1) * d.co * d.kh * d.kw * d.ci;
  }
};

/// The weights' gradient of a layer with one output: parts, their sum, then to its buffer.
template <class T>
void one_output_weights(const Conv2dDims& d, const T* x, const T* dy, const Grad& dw,
                        float* scratch) {
  const int size = d.co * d.kh * d.kw * d.ci;
  float* const sums = scratch + size;
  const int chunks = one_output::backward_weights(d, x, dy, sums);
  loops::sum_rows(chunks, size, sums, scratch, false);
  dispatch(dw.dtype,
           [&]<class G>(G) { loops::deliver(std::size_t(size), scratch, dw.as<G>(), dw.adds()); });
}

}  // namespace

template <>
std::size_t conv2d_forward_scratch_bytes(CpuStream, const Conv2dDims& d, DType type,
                                         const Conv2dSummands& summands) {
  return ForwardScratch(nullptr, d, type, summands).bytes();
}

template <>
void conv2d_forward(CpuStream, const Conv2dDims& d, Joined<ConstAct> in, ConstAct w,
                    const Conv2dSummands& summands, Act y, void* scratch) {
  const ForwardScratch part(scratch, d, y.dtype, summands);
  const ConstAct x = whole(d, in, part.x);
  const ConstAct &v = summands.per_channel, &r = summands.residual;
  if (one_output::suits(d))
    return dispatch(y.dtype, [&]<class T>(T) {
      one_output::forward(d, x.as<T>(), w.as<T>(), summands.bias, optional<T>(v), optional<T>(r),
                          y.as<T>());
    });
  if (v)
    dispatch(y.dtype, [&]<class T>(T) {
      fill(d.n, d.ho() * d.wo(), d.co, v.as<T>(), optional<T>(r), y.as<T>());
    });
  forward(d, y.dtype, summands)
      .run(x.data, w.data, summands.bias, v ? nullptr : r.data, y.data, part.conv);
}

template <>
std::size_t conv2d_backward_data_scratch_bytes(CpuStream, const Conv2dDims& d,
                                               const Joined<Grad>& dx) {
  return DataScratch(nullptr, d, dx).bytes();
}

template <>
void conv2d_backward_data(CpuStream, const Conv2dDims& d, ConstAct dy, ConstAct w, Joined<Grad> to,
                          void* scratch) {
  check_joined(d.ci, d.ci2, to);
  const DType type = type_of(to);
  HAZE_CHECK(dy.dtype == type, "dy is ", name_of(dy.dtype), ", dx is ", name_of(type));
  const DataScratch part(scratch, d, to);
  const Grad& dx = to.first;
  const bool direct = d.ci2 == 0 && !dx.adds();
  void* out = direct ? dx.data : part.dx;
  ConvBackwardData::of(shape(d, type)).run(dy.data, w.data, out, part.conv);
  dispatch(type, [&]<class T>(T) {
    const T* from = static_cast<const T*>(out);
    if (d.ci2 > 0)
      loops::split_channels(pixels_of(d), d.ci - d.ci2, d.ci2, from, dx, to.second);
    else if (!direct)
      loops::deliver(pixels_of(d) * d.ci, from, dx.as<T>(), true);
  });
}

template <>
std::size_t conv2d_backward_weights_scratch_bytes(CpuStream, const Conv2dDims& d, DType type,
                                                  const Conv2dWeightGrads& grads) {
  return WeightScratch(nullptr, d, type, grads).bytes();
}

template <>
void conv2d_backward_weights(CpuStream, const Conv2dDims& d, Joined<ConstAct> in, ConstAct dy,
                             const Conv2dWeightGrads& grads, void* scratch) {
  const WeightScratch part(scratch, d, dy.dtype, grads);
  const ConstAct x = grads.w ? whole(d, in, part.x) : ConstAct{};
  const auto& [dw, dbias, dper_channel] = grads;
  const bool together = bias_with_weights(d, dy.dtype, grads);
  if (dw && one_output::suits(d))
    dispatch(dy.dtype, [&]<class T>(T) {
      one_output_weights(d, x.as<T>(), dy.as<T>(), dw, static_cast<float*>(part.conv));
    });
  else if (dw)
    conv_weights::run(shape(d, dy.dtype), x.data, dy.data, dw, together ? part.sums : nullptr,
                      part.conv);
  if (together) {
    loops::deliver(std::size_t(d.co), part.sums, dbias.as<float>(), dbias.adds());
  } else if (dbias || dper_channel) {
    const int pixels = d.ho() * d.wo();
    dispatch(dy.dtype, [&]<class T>(T) {
      loops::sum_chunks(d.n * pixels, d.co, pixels, dy.as<T>(), part.sums);
    });
    if (dbias) loops::sum_rows(d.n, d.co, part.sums, dbias.as<float>(), dbias.adds());
    if (const Grad& to = dper_channel)
      dispatch(to.dtype, [&]<class G>(G) {
        loops::deliver(std::size_t(d.n) * d.co, part.sums, to.as<G>(), to.adds());
      });
  }
}

template <>
bool conv2d_depends_on_threads(CpuStream, DType type) {
  return conv_weights::native({2, 8, 8, 16, 8, 8, 16, 3, 3, 1, 1, 1, 1, 1, type, {}}, DType::f32,
                              false, false) != nullptr;
}

}  // namespace haze::kernels
