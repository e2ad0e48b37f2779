// SPDX-License-Identifier: MIT
// onednn_conv.h — oneDNN's convolution primitives on NHWC images, with this project's plain
// weights. Included by kernels' .cpp files only.
//
// oneDNN wants weights in a layout of its own choice, so each run reorders them into scratch, or
// the gradient of the weights out of it. That costs a pass over the weights, not over the images.
//
// Where it has no code for bf16 on this CPU (before AVX-512), the operands are converted to f32 in
// scratch, the convolution is one of f32, and its result is rounded once: what its bf16 code does,
// which multiplies bf16 exactly and adds in f32.
#pragma once
#include <optional>
#include <unordered_map>

#include "kernels/cpu/onednn.h"

namespace haze::kernels::onednn {

enum class WeightLayout : std::uint8_t { ohwi, ihwo };  // [co,kh,kw,ci] or [ci,kh,kw,co]

/// x [n,h,w,ci] -> y [n,ho,wo,co], both of type `images`.
struct ConvShape {
  int n, h, w, ci, ho, wo, co, kh, kw, stride;
  int pad_top, pad_left, pad_bottom, pad_right;
  DType images;
  WeightLayout layout;
  auto operator<=>(const ConvShape&) const = default;
};

/// Memory descriptors of one convolution; `any` leaves the layout to oneDNN.
struct ConvMemory {
  dnnl::memory::dims strides, pad_before, pad_after;
  dnnl::memory::desc x, y, bias;

  ConvMemory(const ConvShape& c, bool with_bias)
      : strides{c.stride, c.stride},
        pad_before{c.pad_top, c.pad_left},
        pad_after{c.pad_bottom, c.pad_right},
        x({c.n, c.ci, c.h, c.w}, type_of(c.images), dnnl::memory::format_tag::nhwc),
        y({c.n, c.co, c.ho, c.wo}, type_of(c.images), dnnl::memory::format_tag::nhwc) {
    if (with_bias) bias = {{c.co}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::x};
  }
  static dnnl::memory::desc any(const ConvShape& c, DType type) {
    return {{c.co, c.ci, c.kh, c.kw}, type_of(type), dnnl::memory::format_tag::any};
  }
  static dnnl::memory::desc plain(const ConvShape& c, DType type) {
    const bool ohwi = c.layout == WeightLayout::ohwi;
    return {{c.co, c.ci, c.kh, c.kw},
            type_of(type),
            ohwi ? dnnl::memory::format_tag::ohwi : dnnl::memory::format_tag::ihwo};
  }
};

/// `c` in the type that oneDNN computes it in: bf16 is f32 where describe(c) finds no code.
template <class F>
ConvShape computed(ConvShape c, F&& describe) {
  if (c.images == DType::bf16 && !has_code([&] { describe(c); })) c.images = DType::f32;
  return c;
}
inline std::size_t size_of_x(const ConvShape& c) {
  return std::size_t(c.n) * c.h * c.w * std::size_t(c.ci);
}
inline std::size_t size_of_y(const ConvShape& c) {
  return std::size_t(c.n) * c.ho * c.wo * std::size_t(c.co);
}
inline std::size_t size_of_w(const ConvShape& c) {
  return std::size_t(c.co) * c.kh * c.kw * std::size_t(c.ci);
}

/// The scratch of a convolution of images and weights: the weights as oneDNN wants them, what it asks
/// for itself, and, where its bf16 is computed in f32 (`converts`), the three operands as f32.
struct ConvScratch : Carver {
  bool converts;
  void *w, *pad;
  float *plain, *x, *y;  // null where they are used as they are
  template <class PrimitiveDesc>
  ConvScratch(void* base, const ConvShape& c, bool with_f32, const PrimitiveDesc& pd)
      : Carver(base),
        converts(with_f32),
        w(take(pd.weights_desc().get_size())),
        pad(take(pd.scratchpad_desc().get_size())),
        plain(take_f32(size_of_w(c))),
        x(take_f32(size_of_x(c))),
        y(take_f32(size_of_y(c))) {}

 private:
  float* take_f32(std::size_t n) { return converts ? take_floats(n) : nullptr; }
};
/// The result as bf16, where it was computed in f32.
inline void narrow(std::size_t n, const void* from, void* to, bool adds = false) {
  loops::deliver(n, static_cast<const float*>(from), static_cast<bf16*>(to), adds);
}

/// What the convolution is added to before the one rounding.
enum class Summand : std::uint8_t { none, in_y, residual };  // in_y: what y holds before

class ConvForward {
 public:
  struct Key {
    ConvShape shape;
    bool bias;
    Summand summand;
    auto operator<=>(const Key&) const = default;
  };
  static ConvForward& of(const Key& key) {
    static Cache<Key, ConvForward> cache;
    return cache.get(key, [](const Key& k) { return ConvForward(k); });
  }
  /// The part of scratch that one run needs.
  std::size_t scratch_bytes() const { return cut(nullptr).bytes(); }

  void run(const void* x, const void* w, const float* bias, const void* residual, void* y,
           void* scratch) {
    const ConvScratch part = cut(scratch);
    const std::size_t results = size_of_y(shape_);
    const void* const weights = widened(size_of_w(shape_), w, part.plain);
    execute(pack_, {{DNNL_ARG_FROM, wrap(plain_, weights)},
                    {DNNL_ARG_TO, wrap(pd_.weights_desc(), part.w)}});
    if (converts_ && summand_ == Summand::in_y) widened(results, residual ? residual : y, part.y);
    std::unordered_map<int, dnnl::memory> args{
        {DNNL_ARG_SRC, wrap(m_.x, widened(size_of_x(shape_), x, part.x))},
        {DNNL_ARG_WEIGHTS, wrap(pd_.weights_desc(), part.w)},
        {DNNL_ARG_DST, wrap(m_.y, converts_ ? part.y : y)},
        {DNNL_ARG_SCRATCHPAD, wrap(pd_.scratchpad_desc(), part.pad)}};
    if (bias) args.emplace(DNNL_ARG_BIAS, wrap(m_.bias, bias));
    if (summand_ == Summand::residual)
      args.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, wrap(m_.y, residual));
    execute(conv_, args);
    if (converts_) narrow(results, part.y, y);
  }

  static dnnl::convolution_forward::primitive_desc describe(const ConvShape& c, const ConvMemory& m,
                                                            Summand summand) {
    dnnl::primitive_attr attr = user_scratchpad();
    dnnl::post_ops post;
    if (summand == Summand::in_y) post.append_sum(1.f);
    if (summand == Summand::residual) post.append_binary(dnnl::algorithm::binary_add, m.y);
    attr.set_post_ops(post);
    return onednn::describe<dnnl::convolution_forward>(
        attr, dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, m.x,
        ConvMemory::any(c, c.images), m.bias, m.y, m.strides, m.pad_before, m.pad_after);
  }

 private:
  explicit ConvForward(const Key& k)
      : shape_(computed(
            k.shape, [&](const ConvShape& c) { describe(c, ConvMemory(c, k.bias), k.summand); })),
        converts_(shape_ != k.shape),
        // A residual that is converted lies in y's place, to be added to there.
        summand_(converts_ && k.summand == Summand::residual ? Summand::in_y : k.summand),
        m_(shape_, k.bias),
        plain_(ConvMemory::plain(shape_, shape_.images)),
        pd_(describe(shape_, m_, summand_)),
        conv_(pd_),
        pack_(reorder(plain_, pd_.weights_desc())) {}
  ConvScratch cut(void* scratch) const { return {scratch, shape_, converts_, pd_}; }
  ConvShape shape_;
  bool converts_;
  Summand summand_;
  ConvMemory m_;
  dnnl::memory::desc plain_;
  dnnl::convolution_forward::primitive_desc pd_;
  dnnl::convolution_forward conv_;
  dnnl::reorder pack_;
};

/// One thread for oneDNN while it lives, if `alone`.
class OneThread {
 public:
  explicit OneThread(bool alone) : before_(omp_get_max_threads()) {
    if (alone) omp_set_num_threads(1);
  }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

/// dx = Σ dy w; overwrites dx.
class ConvBackwardData {
 public:
  /// Where the channels of dx do not fill vectors, what oneDNN 2.6 adds up for a stride of 2 depends
  /// on which thread has which row (seen with 4x4 and 3 or 5 channels): one thread has all.
  static bool alone(const ConvShape& c) { return c.stride > 1 && c.ci % 16 != 0; }
  static ConvBackwardData& of(const ConvShape& shape) {
    static Cache<ConvShape, ConvBackwardData> cache;
    const OneThread guard(alone(shape));
    return cache.get(shape, [](const ConvShape& c) { return ConvBackwardData(c); });
  }
  std::size_t scratch_bytes() const { return cut(nullptr).bytes(); }

  void run(const void* dy, const void* w, void* dx, void* scratch) {
    const ConvScratch part = cut(scratch);
    const void* const weights = widened(size_of_w(shape_), w, part.plain);
    execute(pack_, {{DNNL_ARG_FROM, wrap(plain_, weights)},
                    {DNNL_ARG_TO, wrap(pd_.weights_desc(), part.w)}});
    const void* const from = widened(size_of_y(shape_), dy, part.y);
    const OneThread guard(alone(shape_));
    execute(conv_, {{DNNL_ARG_DIFF_DST, wrap(m_.y, from)},
                    {DNNL_ARG_WEIGHTS, wrap(pd_.weights_desc(), part.w)},
                    {DNNL_ARG_DIFF_SRC, wrap(m_.x, converts_ ? part.x : dx)},
                    {DNNL_ARG_SCRATCHPAD, wrap(pd_.scratchpad_desc(), part.pad)}});
    if (converts_) narrow(size_of_x(shape_), part.x, dx);
  }

 private:
  explicit ConvBackwardData(const ConvShape& given)
      : shape_(computed(given, [](const ConvShape& c) { describe(c, ConvMemory(c, false)); })),
        converts_(shape_ != given),
        m_(shape_, false),
        plain_(ConvMemory::plain(shape_, shape_.images)),
        pd_(describe(shape_, m_)),
        conv_(pd_),
        pack_(reorder(plain_, pd_.weights_desc())) {}
  static dnnl::convolution_backward_data::primitive_desc describe(const ConvShape& c,
                                                                  const ConvMemory& m) {
    return describe_backward<dnnl::convolution_backward_data>(
        user_scratchpad(), ConvForward::describe(c, m, Summand::none),
        dnnl::algorithm::convolution_direct, m.x, ConvMemory::any(c, c.images), m.y, m.strides,
        m.pad_before, m.pad_after);
  }
  ConvScratch cut(void* scratch) const { return {scratch, shape_, converts_, pd_}; }
  ConvShape shape_;
  bool converts_;
  ConvMemory m_;
  dnnl::memory::desc plain_;
  dnnl::convolution_backward_data::primitive_desc pd_;
  dnnl::convolution_backward_data conv_;
  dnnl::reorder pack_;
};

/// dw (+)= Σ dy x of bf16, summed in f32 and delivered in the type of its buffer; dbias = Σ dy if
/// wanted. What each thread sums depends on their number.
class ConvBackwardWeights {
 public:
  struct Key {
    ConvShape shape;
    DType dw;
    bool bias, adds;  // adds: to dw; dbias is always overwritten
    auto operator<=>(const Key&) const = default;
  };
  /// Null for f32, and where oneDNN has no code for bf16.
  static ConvBackwardWeights* of(const Key& key) {
    if (key.shape.images != DType::bf16) return nullptr;
    static Cache<Key, std::optional<ConvBackwardWeights>> cache;
    auto& found = cache.get(key, [](const Key& k) {
      std::optional<ConvBackwardWeights> made;
      has_code([&] { made.emplace(ConvBackwardWeights(k)); });
      return made;
    });
    return found ? &*found : nullptr;
  }
  std::size_t scratch_bytes() const { return Scratch(nullptr, *this).bytes(); }

  void run(const void* x, const void* dy, void* dw, float* dbias, void* scratch) {
    const Scratch part(scratch, *this);
    std::unordered_map<int, dnnl::memory> args{
        {DNNL_ARG_SRC, wrap(m_.x, x)},
        {DNNL_ARG_DIFF_DST, wrap(m_.y, dy)},
        {DNNL_ARG_DIFF_WEIGHTS, wrap(pd_.diff_weights_desc(), part.dw)},
        {DNNL_ARG_SCRATCHPAD, wrap(pd_.scratchpad_desc(), part.pad)}};
    if (dbias) args.emplace(DNNL_ARG_DIFF_BIAS, wrap(m_.bias, dbias));
    execute(conv_, args);
    execute(unpack_, {{DNNL_ARG_FROM, wrap(pd_.diff_weights_desc(), part.dw)},
                      {DNNL_ARG_TO, wrap(plain_, dw)}});
  }

 private:
  explicit ConvBackwardWeights(const Key& k)
      : m_(k.shape, k.bias),
        plain_(ConvMemory::plain(k.shape, k.dw)),
        pd_(describe_backward<dnnl::convolution_backward_weights>(
            user_scratchpad(), ConvForward::describe(k.shape, m_, Summand::none),
            dnnl::algorithm::convolution_direct, m_.x, ConvMemory::any(k.shape, DType::f32),
            m_.bias, m_.y, m_.strides, m_.pad_before, m_.pad_after)),
        conv_(pd_),
        unpack_(reorder(pd_.diff_weights_desc(), plain_, k.adds)) {}
  struct Scratch : Carver {
    void *dw, *pad;
    Scratch(void* base, const ConvBackwardWeights& b)
        : Carver(base),
          dw(take(b.pd_.diff_weights_desc().get_size())),
          pad(take(b.pd_.scratchpad_desc().get_size())) {}
  };
  ConvMemory m_;
  dnnl::memory::desc plain_;
  dnnl::convolution_backward_weights::primitive_desc pd_;
  dnnl::convolution_backward_weights conv_;
  dnnl::reorder unpack_;
};

}  // namespace haze::kernels::onednn
