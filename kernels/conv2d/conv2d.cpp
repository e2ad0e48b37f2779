// conv2d.cpp — CPU backend: oneDNN's convolutions on NHWC images. oneDNN chooses its own layout of
// the weights, so each call reorders them into scratch (and the gradient of the weights back).
#include "kernels/conv2d/conv2d.h"

#include <algorithm>

#include "kernels/common/onednn.h"
#include "kernels/common/stream.h"

namespace haze::kernels {
namespace {

using dnnl::memory;
using onednn::Carver;

/// The memory descriptors of one convolution; `any` leaves the layout to oneDNN.
struct Descriptors {
  memory::desc x, y, w, w_any, bias;
  memory::dims strides, pad_before, pad_after;

  Descriptors(const Conv2dDims& d, DType images, DType weights, bool with_bias)
      : x({d.n, d.ci, d.h, d.w}, onednn::type_of(images), memory::format_tag::nhwc),
        y({d.n, d.co, d.ho(), d.wo()}, onednn::type_of(images), memory::format_tag::nhwc),
        w({d.co, d.ci, d.kh, d.kw}, onednn::type_of(weights), memory::format_tag::ohwi),
        w_any({d.co, d.ci, d.kh, d.kw}, onednn::type_of(weights), memory::format_tag::any),
        strides{d.stride, d.stride},
        pad_before{d.pad_top, d.pad_left},
        pad_after{d.pad_bottom, d.pad_right} {
    if (with_bias) bias = memory::desc({d.co}, memory::data_type::f32, memory::format_tag::x);
  }
};

enum class Summand : std::uint8_t { none, in_y, residual };  // in_y: y holds it before the call

struct Key {
  Conv2dDims d;
  DType type, other;  // other: of dx's or dw's buffer
  bool bias, adds;
  Summand summand;
  auto operator<=>(const Key&) const = default;
};

dnnl::convolution_forward::primitive_desc describe_forward(const Descriptors& m, Summand summand) {
  dnnl::primitive_attr attr = onednn::user_scratchpad();
  dnnl::post_ops post;
  if (summand == Summand::in_y) post.append_sum(1.f);
  if (summand == Summand::residual) post.append_binary(dnnl::algorithm::binary_add, m.y);
  attr.set_post_ops(post);
  return onednn::describe<dnnl::convolution_forward>(
      attr, dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, m.x, m.w_any,
      m.bias, m.y, m.strides, m.pad_before, m.pad_after);
}

// ---- forward
// -------------------------------------------------------------------------------------

struct Forward {
  Descriptors m;
  dnnl::convolution_forward::primitive_desc pd;
  dnnl::convolution_forward conv;
  dnnl::reorder pack;

  explicit Forward(const Key& k)
      : m(k.d, k.type, k.type, k.bias),
        pd(describe_forward(m, k.summand)),
        conv(pd),
        pack(onednn::reorder(m.w, pd.weights_desc())) {}
};

Forward& forward(const Conv2dDims& d, DType type, const Conv2dSummands& summands) {
  static onednn::Cache<Key, Forward> cache;
  const Summand summand = summands.per_channel ? Summand::in_y
                          : summands.residual  ? Summand::residual
                                               : Summand::none;
  const Key key{d, type, type, summands.bias != nullptr, false, summand};
  return cache.get(key, [](const Key& k) { return Forward(k); });
}

struct ForwardScratch : Carver {
  void *w, *pad;
  ForwardScratch(void* base, const Forward& f)
      : Carver(base),
        w(take(f.pd.weights_desc().get_size())),
        pad(take(f.pd.scratchpad_desc().get_size())) {}
};

/// y[n,p,c] = v[n,c] + residual[n,p,c], residual null or not.
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
        for (int c = 0; c < channels; ++c) out[c] = T(float(row[c]) + float(add[c]));
      } else {
        std::copy_n(add, channels, out);
      }
    }
}

// ---- backward
// ------------------------------------------------------------------------------------

struct BackwardData {
  Descriptors m;
  dnnl::convolution_backward_data::primitive_desc pd;
  dnnl::convolution_backward_data conv;
  dnnl::reorder pack;

  explicit BackwardData(const Key& k)
      : m(k.d, k.type, k.type, false),
        pd(onednn::describe_backward<dnnl::convolution_backward_data>(
            onednn::user_scratchpad(), describe_forward(m, Summand::none),
            dnnl::algorithm::convolution_direct, m.x, m.w_any, m.y, m.strides, m.pad_before,
            m.pad_after)),
        conv(pd),
        pack(onednn::reorder(m.w, pd.weights_desc())) {}
};

BackwardData& backward_data(const Conv2dDims& d, DType type) {
  static onednn::Cache<Key, BackwardData> cache;
  return cache.get({d, type, type, false, false, Summand::none},
                   [](const Key& k) { return BackwardData(k); });
}

struct DataScratch : Carver {
  void *w, *pad, *dx;
  DataScratch(void* base, const BackwardData& b, bool adds)
      : Carver(base),
        w(take(b.pd.weights_desc().get_size())),
        pad(take(b.pd.scratchpad_desc().get_size())),
        dx(take(adds ? b.m.x.get_size() : 0)) {}
};

struct BackwardWeights {
  Descriptors m;
  dnnl::convolution_backward_weights::primitive_desc pd;
  dnnl::convolution_backward_weights conv;
  dnnl::reorder unpack;

  // The forward hint wants weights in the images' type, the gradient itself is f32.
  explicit BackwardWeights(const Key& k)
      : m(k.d, k.type, DType::f32, k.bias),
        pd(onednn::describe_backward<dnnl::convolution_backward_weights>(
            onednn::user_scratchpad(),
            describe_forward(Descriptors(k.d, k.type, k.type, k.bias), Summand::none),
            dnnl::algorithm::convolution_direct, m.x, m.w_any, m.bias, m.y, m.strides, m.pad_before,
            m.pad_after)),
        conv(pd),
        unpack(onednn::reorder(pd.diff_weights_desc(), Descriptors(k.d, k.type, k.other, false).w,
                               k.adds)) {}
};

/// The bias gradient comes with that of the weights, unless the sums per image are wanted anyway.
bool bias_with_weights(const Conv2dWeightGrads& g) { return g.w && g.bias && !g.per_channel; }

BackwardWeights& backward_weights(const Conv2dDims& d, DType type, const Conv2dWeightGrads& g) {
  static onednn::Cache<Key, BackwardWeights> cache;
  return cache.get({d, type, g.w.dtype, bias_with_weights(g), g.w.adds(), Summand::none},
                   [](const Key& k) { return BackwardWeights(k); });
}

struct WeightScratch : Carver {
  void *dw = nullptr, *pad = nullptr, *sums;
  WeightScratch(void* base, const Conv2dDims& d, DType type, const Conv2dWeightGrads& g)
      : Carver(base) {
    if (g.w) {
      const BackwardWeights& b = backward_weights(d, type, g);
      dw = take(b.pd.diff_weights_desc().get_size());
      pad = take(b.pd.scratchpad_desc().get_size());
    }
    sums = take(std::size_t(d.n) * d.co * sizeof(float));  // [n,co], or [co] in its first row
  }
};

template <class From, class To>
void deliver(std::size_t n, const From* from, To* to, bool adds) {
  if (adds) {
#pragma omp parallel for simd schedule(static)
    for (std::size_t i = 0; i < n; ++i) to[i] = To(float(to[i]) + float(from[i]));
  } else {
#pragma omp parallel for simd schedule(static)
    for (std::size_t i = 0; i < n; ++i) to[i] = To(float(from[i]));
  }
}

/// sums[n,c] = sum over p of dy[n,p,c].
template <class T>
void sum_pixels(int n, int pixels, int channels, const T* dy, float* sums) {
#pragma omp parallel for schedule(static)
  for (int i = 0; i < n; ++i) {
    float* total = sums + std::size_t(i) * channels;
    std::fill_n(total, channels, 0.f);
    for (int p = 0; p < pixels; ++p) {
      const T* row = dy + (std::size_t(i) * pixels + p) * channels;
#pragma omp simd
      for (int c = 0; c < channels; ++c) total[c] += float(row[c]);
    }
  }
}

/// out[c] (+)= sum over n of sums[n,c].
void sum_images(int n, int channels, const float* sums, float* out, bool adds) {
  if (!adds) std::fill_n(out, channels, 0.f);
  for (int i = 0; i < n; ++i)
    for (int c = 0; c < channels; ++c) out[c] += sums[std::size_t(i) * channels + c];
}

}  // namespace

template <>
std::size_t conv2d_forward_scratch_bytes(CpuStream, const Conv2dDims& d, DType type,
                                         const Conv2dSummands& summands) {
  return ForwardScratch(nullptr, forward(d, type, summands)).bytes();
}

template <>
void conv2d_forward(CpuStream, const Conv2dDims& d, ConstAct x, ConstAct w,
                    const Conv2dSummands& summands, Act y, void* scratch) {
  Forward& f = forward(d, y.dtype, summands);
  const ForwardScratch part(scratch, f);
  f.pack.execute(onednn::stream(), {{DNNL_ARG_FROM, onednn::wrap(f.m.w, w.data)},
                                    {DNNL_ARG_TO, onednn::wrap(f.pd.weights_desc(), part.w)}});
  if (summands.per_channel)
    dispatch(y.dtype, [&]<class T>(T) {
      const T* residual = summands.residual ? summands.residual.as<T>() : nullptr;
      fill(d.n, d.ho() * d.wo(), d.co, summands.per_channel.as<T>(), residual, y.as<T>());
    });
  f.conv.execute(onednn::stream(),
                 {{DNNL_ARG_SRC, onednn::wrap(f.m.x, x.data)},
                  {DNNL_ARG_WEIGHTS, onednn::wrap(f.pd.weights_desc(), part.w)},
                  {DNNL_ARG_BIAS, onednn::wrap(f.m.bias, summands.bias)},
                  {DNNL_ARG_DST, onednn::wrap(f.m.y, y.data)},
                  {DNNL_ARG_SCRATCHPAD, onednn::wrap(f.pd.scratchpad_desc(), part.pad)},
                  {DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1,
                   onednn::wrap(f.m.y, summands.residual.data)}});
}

template <>
std::size_t conv2d_backward_data_scratch_bytes(CpuStream, const Conv2dDims& d, const Grad& dx) {
  return DataScratch(nullptr, backward_data(d, dx.dtype), dx.adds()).bytes();
}

template <>
void conv2d_backward_data(CpuStream, const Conv2dDims& d, ConstAct dy, ConstAct w, Grad dx,
                          void* scratch) {
  HAZE_CHECK(dy.dtype == dx.dtype, "dy is ", name_of(dy.dtype), ", dx is ", name_of(dx.dtype));
  BackwardData& b = backward_data(d, dx.dtype);
  const DataScratch part(scratch, b, dx.adds());
  void* out = dx.adds() ? part.dx : dx.data;
  b.pack.execute(onednn::stream(), {{DNNL_ARG_FROM, onednn::wrap(b.m.w, w.data)},
                                    {DNNL_ARG_TO, onednn::wrap(b.pd.weights_desc(), part.w)}});
  b.conv.execute(onednn::stream(),
                 {{DNNL_ARG_DIFF_DST, onednn::wrap(b.m.y, dy.data)},
                  {DNNL_ARG_WEIGHTS, onednn::wrap(b.pd.weights_desc(), part.w)},
                  {DNNL_ARG_DIFF_SRC, onednn::wrap(b.m.x, out)},
                  {DNNL_ARG_SCRATCHPAD, onednn::wrap(b.pd.scratchpad_desc(), part.pad)}});
  if (dx.adds())
    dispatch(dx.dtype, [&]<class T>(T) {
      const std::size_t size = std::size_t(d.n) * d.h * d.w * d.ci;
      deliver(size, static_cast<const T*>(out), dx.as<T>(), true);
    });
}

template <>
std::size_t conv2d_backward_weights_scratch_bytes(CpuStream, const Conv2dDims& d, DType type,
                                                  const Conv2dWeightGrads& grads) {
  return WeightScratch(nullptr, d, type, grads).bytes();
}

template <>
void conv2d_backward_weights(CpuStream, const Conv2dDims& d, ConstAct x, ConstAct dy,
                             const Conv2dWeightGrads& grads, void* scratch) {
  const WeightScratch part(scratch, d, dy.dtype, grads);
  auto* const sums = static_cast<float*>(part.sums);
  if (grads.w) {
    BackwardWeights& b = backward_weights(d, dy.dtype, grads);
    b.conv.execute(onednn::stream(),
                   {{DNNL_ARG_SRC, onednn::wrap(b.m.x, x.data)},
                    {DNNL_ARG_DIFF_DST, onednn::wrap(b.m.y, dy.data)},
                    {DNNL_ARG_DIFF_WEIGHTS, onednn::wrap(b.pd.diff_weights_desc(), part.dw)},
                    {DNNL_ARG_DIFF_BIAS, onednn::wrap(b.m.bias, sums)},
                    {DNNL_ARG_SCRATCHPAD, onednn::wrap(b.pd.scratchpad_desc(), part.pad)}});
    const auto to = Descriptors(d, dy.dtype, grads.w.dtype, false).w;
    b.unpack.execute(onednn::stream(),
                     {{DNNL_ARG_FROM, onednn::wrap(b.pd.diff_weights_desc(), part.dw)},
                      {DNNL_ARG_TO, onednn::wrap(to, grads.w.data)}});
  }
  if (bias_with_weights(grads)) {
    deliver(std::size_t(d.co), sums, grads.bias.as<float>(), grads.bias.adds());
  } else if (grads.bias || grads.per_channel) {
    dispatch(dy.dtype,
             [&]<class T>(T) { sum_pixels(d.n, d.ho() * d.wo(), d.co, dy.as<T>(), sums); });
    if (grads.bias) sum_images(d.n, d.co, sums, grads.bias.as<float>(), grads.bias.adds());
    if (const Grad& g = grads.per_channel)
      dispatch(g.dtype,
               [&]<class G>(G) { deliver(std::size_t(d.n) * d.co, sums, g.as<G>(), g.adds()); });
  }
}

}  // namespace haze::kernels
