// SPDX-License-Identifier: MIT
// onednn_conv.h — oneDNN's convolution primitives on NHWC images, with this project's plain
// weights. Included by kernels' .cpp files only.
//
// oneDNN wants weights in a layout of its own choice, so each run reorders them into scratch, or
// the gradient of the weights out of it. That costs a pass over the weights, not over the images.
#pragma once
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
  std::size_t scratch_bytes() const { return Scratch(nullptr, *this).bytes(); }

  void run(const void* x, const void* w, const float* bias, const void* residual, void* y,
           void* scratch) {
    const Scratch part(scratch, *this);
    execute(pack_,
            {{DNNL_ARG_FROM, wrap(plain_, w)}, {DNNL_ARG_TO, wrap(pd_.weights_desc(), part.w)}});
    std::unordered_map<int, dnnl::memory> args{
        {DNNL_ARG_SRC, wrap(m_.x, x)},
        {DNNL_ARG_WEIGHTS, wrap(pd_.weights_desc(), part.w)},
        {DNNL_ARG_DST, wrap(m_.y, y)},
        {DNNL_ARG_SCRATCHPAD, wrap(pd_.scratchpad_desc(), part.pad)}};
    if (bias) args.emplace(DNNL_ARG_BIAS, wrap(m_.bias, bias));
    if (residual)
      args.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, wrap(m_.y, residual));
    execute(conv_, args);
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
      : m_(k.shape, k.bias),
        plain_(ConvMemory::plain(k.shape, k.shape.images)),
        pd_(describe(k.shape, m_, k.summand)),
        conv_(pd_),
        pack_(reorder(plain_, pd_.weights_desc())) {}
  struct Scratch : Carver {
    void *w, *pad;
    Scratch(void* base, const ConvForward& f)
        : Carver(base),
          w(take(f.pd_.weights_desc().get_size())),
          pad(take(f.pd_.scratchpad_desc().get_size())) {}
  };
  ConvMemory m_;
  dnnl::memory::desc plain_;
  dnnl::convolution_forward::primitive_desc pd_;
  dnnl::convolution_forward conv_;
  dnnl::reorder pack_;
};

/// dx = Σ dy w; overwrites dx.
class ConvBackwardData {
 public:
  static ConvBackwardData& of(const ConvShape& shape) {
    static Cache<ConvShape, ConvBackwardData> cache;
    return cache.get(shape, [](const ConvShape& c) { return ConvBackwardData(c); });
  }
  std::size_t scratch_bytes() const { return Scratch(nullptr, *this).bytes(); }

  void run(const void* dy, const void* w, void* dx, void* scratch) {
    const Scratch part(scratch, *this);
    execute(pack_,
            {{DNNL_ARG_FROM, wrap(plain_, w)}, {DNNL_ARG_TO, wrap(pd_.weights_desc(), part.w)}});
    execute(conv_, {{DNNL_ARG_DIFF_DST, wrap(m_.y, dy)},
                    {DNNL_ARG_WEIGHTS, wrap(pd_.weights_desc(), part.w)},
                    {DNNL_ARG_DIFF_SRC, wrap(m_.x, dx)},
                    {DNNL_ARG_SCRATCHPAD, wrap(pd_.scratchpad_desc(), part.pad)}});
  }

 private:
  explicit ConvBackwardData(const ConvShape& c)
      : m_(c, false),
        plain_(ConvMemory::plain(c, c.images)),
        pd_(describe_backward<dnnl::convolution_backward_data>(
            user_scratchpad(), ConvForward::describe(c, m_, Summand::none),
            dnnl::algorithm::convolution_direct, m_.x, ConvMemory::any(c, c.images), m_.y,
            m_.strides, m_.pad_before, m_.pad_after)),
        conv_(pd_),
        pack_(reorder(plain_, pd_.weights_desc())) {}
  struct Scratch : Carver {
    void *w, *pad;
    Scratch(void* base, const ConvBackwardData& b)
        : Carver(base),
          w(take(b.pd_.weights_desc().get_size())),
          pad(take(b.pd_.scratchpad_desc().get_size())) {}
  };
  ConvMemory m_;
  dnnl::memory::desc plain_;
  dnnl::convolution_backward_data::primitive_desc pd_;
  dnnl::convolution_backward_data conv_;
  dnnl::reorder pack_;
};

/// dw (+)= Σ dy x in f32, delivered in the type of its buffer; dbias = Σ dy if wanted.
class ConvBackwardWeights {
 public:
  struct Key {
    ConvShape shape;
    DType dw;
    bool bias, adds;  // adds: to dw; dbias is always overwritten
    auto operator<=>(const Key&) const = default;
  };
  static ConvBackwardWeights& of(const Key& key) {
    static Cache<Key, ConvBackwardWeights> cache;
    return cache.get(key, [](const Key& k) { return ConvBackwardWeights(k); });
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
