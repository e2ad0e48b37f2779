// SPDX-License-Identifier: MIT
// cases_products.cpp — convolutions, matrix products and attention as something to time.
#include "engine/bench/baselines/baselines.h"
#include "engine/bench/kernel_buffers.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/versions.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/versions.h"
#include "kernels/conv_transpose2d/conv_transpose2d.h"
#include "kernels/matmul/matmul.h"

namespace haze::engine {
namespace {

using Way = baselines::Product;

/// Makes a library's way of computing the case a peer, or says why it has none.
[[maybe_unused]] void add_baseline(KernelCase& to, const char* impl,
                                   const baselines::Baseline& found, const Tensor& result) {
  if (found.run)
    to.peers.push_back({impl, found.run, result});
  else if (!found.why.empty())
    to.without.push_back(cat(impl, ": ", found.why));
}

struct Convolution {
  kernels::Conv2dDims d;
  Tensor x, w, y;   // of the activations' type
  Tensor dw, bias;  // f32; the bias is 0, as the peers compute the product alone
};

Convolution make_convolution(Buffers& b, const KernelShape& k, int size, int stride) {
  const int pad = size / 2;
  const kernels::Conv2dDims d{k.n, k.h, k.h, k.c, k.co, size, size, stride, pad, pad, pad, pad};
  const std::size_t weights = std::size_t(d.co) * size * size * d.ci;
  return {d,
          b.activations(std::size_t(d.n) * d.h * d.w * d.ci),
          b.activations(weights),
          b.activations(std::size_t(d.n) * d.ho() * d.wo() * d.co),
          b.raw(weights, DType::f32),
          b.raw(std::size_t(d.co), DType::f32)};
}

template <class S>
std::function<void()> conv_forward(S s, Buffers& b, const Convolution& c) {
  const kernels::Conv2dSummands summands{c.bias.f32(), {}, {}};
  const auto scratch = b.memory(kernels::conv2d_forward_scratch_bytes(s, c.d, c.x.dtype, summands));
  return [=] {
    kernels::conv2d_forward(s, c.d, c.x.in(), c.w.in(), {c.bias.f32(), {}, {}}, c.y.act(),
                            scratch.get());
  };
}

template <class S>
std::function<void()> conv_backward_data(S s, Buffers& b, const Convolution& c) {
  const auto scratch =
      b.memory(kernels::conv2d_backward_data_scratch_bytes(s, c.d, overwrite(c.x)));
  return [=] {
    kernels::conv2d_backward_data(s, c.d, c.y.in(), c.w.in(), overwrite(c.x), scratch.get());
  };
}

template <class S>
std::function<void()> conv_backward_weights(S s, Buffers& b, const Convolution& c) {
  const kernels::Conv2dWeightGrads grads{overwrite(c.dw), overwrite(c.bias), {}};
  const auto scratch =
      b.memory(kernels::conv2d_backward_weights_scratch_bytes(s, c.d, c.x.dtype, grads));
  return [=] {
    kernels::conv2d_backward_weights(s, c.d, c.x.in(), c.y.in(),
                                     {overwrite(c.dw), overwrite(c.bias), {}}, scratch.get());
  };
}

template <OnCuda S>
std::vector<Peer> earlier_forwards(S s, const Convolution& c) {
  namespace earlier = kernels::conv2d_versions;
  std::vector<Peer> peers;
  const auto add = [&](const char* impl, decltype(&earlier::v1_naive) version) {
    peers.push_back({impl, [=] { version(s, c.d, c.x.in(), c.w.in(), c.y.act()); }, c.y});
  };
  add("v1_naive", earlier::v1_naive);
  add("v2_tiled", earlier::v2_tiled);
  if (c.x.dtype == DType::bf16) {
    add("v3_tensor_cores", earlier::v3_tensor_cores);
    add("v4_async", earlier::v4_async);
    add("v5_swizzle", earlier::v5_swizzle);
  }
  return peers;
}

/// cuDNN, and for a convolution that is a matrix product cuBLAS.
template <OnCuda S>
void add_conv_libraries(S s, Buffers& b, const Convolution& c, Way way, KernelCase& to) {
  using namespace baselines;
  // cuDNN's gradient of the weights has the type of what it is computed from.
  const bool own = way == Way::weights && c.x.dtype != DType::f32;
  const Tensor into = own ? b.raw(c.dw.size(), c.x.dtype) : to.result;
  const kernels::Act third = way == Way::weights ? into.act() : c.w.act();
  add_baseline(to, "cudnn", cudnn_convolution(s, c.d, way, c.x.act(), third, c.y.act()), into);
  if (c.d.kh == 1 && c.d.stride == 1)
    add_baseline(to, "cublas",
                 cublas_matmul(s, {c.d.n * c.d.h * c.d.w, c.d.ci, c.d.co}, way, c.x.act(),
                               (way == Way::weights ? c.dw : c.w).act(), c.y.act()),
                 to.result);
}

KernelCase convolution(Context& context, const KernelShape& k, int size, int stride, Way way) {
  Buffers b(context);
  const Convolution c = make_convolution(b, k, size, stride);
  KernelCase result;
  result.flops = 2.0 * double(c.y.size()) * size * size * c.d.ci;
  result.bytes = double(c.x.bytes() + c.y.bytes() + (way == Way::weights ? c.dw : c.w).bytes());
  result.result = way == Way::forward ? c.y : way == Way::data ? c.x : c.dw;
  context.run([&]<class S>(S s) {
    result.run = way == Way::forward ? conv_forward(s, b, c)
                 : way == Way::data  ? conv_backward_data(s, b, c)
                                     : conv_backward_weights(s, b, c);
    if constexpr (OnCuda<S>) {
      if (way == Way::forward) result.peers = earlier_forwards(s, c);
      add_conv_libraries(s, b, c, way, result);
    }
  });
  return result;
}

/// [n,h,h,c] to [n,2h,2h,co].
KernelCase conv_transpose(Context& context, const KernelShape& k, Way way) {
  const kernels::ConvTranspose2dDims d{k.n, k.h, k.h, k.c, k.co};
  const std::size_t pixels = std::size_t(d.n) * d.h * d.w, weights = std::size_t(d.co) * 16 * d.ci;
  Buffers b(context);
  const DType type = context.activations;
  const Tensor x = b.activations(pixels * d.ci), y = b.activations(4 * pixels * d.co);
  const Tensor w = b.activations(weights), dw = b.raw(weights, DType::f32);
  const Tensor bias = b.raw(std::size_t(d.co), DType::f32);
  KernelCase result;
  result.flops = 2.0 * double(pixels) * 16 * d.ci * d.co;
  result.bytes = double(x.bytes() + y.bytes() + (way == Way::weights ? dw : w).bytes());
  std::visit(
      [&](auto s) {
        if (way == Way::forward) {
          const auto scratch =
              b.memory(kernels::conv_transpose2d_forward_scratch_bytes(s, d, type));
          result.run = [=] {
            kernels::conv_transpose2d_forward(s, d, x.in(), w.in(), bias.f32(), y.act(),
                                              scratch.get());
          };
        } else if (way == Way::data) {
          const auto scratch =
              b.memory(kernels::conv_transpose2d_backward_data_scratch_bytes(s, d, overwrite(x)));
          result.run = [=] {
            kernels::conv_transpose2d_backward_data(s, d, y.in(), w.in(), overwrite(x),
                                                    scratch.get());
          };
        } else {
          const auto scratch = b.memory(kernels::conv_transpose2d_backward_weights_scratch_bytes(
              s, d, type, overwrite(dw), overwrite(bias)));
          result.run = [=] {
            kernels::conv_transpose2d_backward_weights(s, d, x.in(), y.in(), overwrite(dw),
                                                       overwrite(bias), scratch.get());
          };
        }
      },
      context.stream);
  return result;
}

/// A row for every pixel.
KernelCase linear(Context& context, const KernelShape& k, Way way) {
  const kernels::MatmulDims d{k.n * k.h * k.h, k.c, k.co};
  const std::size_t rows = std::size_t(d.rows), weights = std::size_t(d.in) * d.out;
  Buffers b(context);
  const DType type = context.activations;
  const Tensor x = b.activations(rows * d.in), y = b.activations(rows * d.out);
  const Tensor w = b.activations(weights), dw = b.raw(weights, DType::f32);
  const Tensor bias = b.raw(std::size_t(d.out), DType::f32);
  KernelCase result;
  result.flops = 2.0 * double(rows) * d.in * d.out;
  result.bytes = double(x.bytes() + y.bytes() + (way == Way::weights ? dw : w).bytes());
  result.result = way == Way::forward ? y : way == Way::data ? x : dw;
  std::visit(
      [&]<class S>(S s) {
        if (way == Way::forward) {
          const auto scratch =
              b.memory(kernels::matmul_forward_scratch_bytes(s, d, type, true, false));
          result.run = [=] {
            kernels::matmul_forward(s, d, x.in(), w.in(), bias.f32(), {}, y.act(), scratch.get());
          };
        } else if (way == Way::data) {
          const auto scratch =
              b.memory(kernels::matmul_backward_data_scratch_bytes(s, d, overwrite(x)));
          result.run = [=] {
            kernels::matmul_backward_data(s, d, y.in(), w.in(), overwrite(x), scratch.get());
          };
        } else {
          const auto scratch = b.memory(kernels::matmul_backward_weights_scratch_bytes(
              s, d, type, overwrite(dw), overwrite(bias)));
          result.run = [=] {
            kernels::matmul_backward_weights(s, d, x.in(), y.in(), overwrite(dw), overwrite(bias),
                                             scratch.get());
          };
        }
        if constexpr (OnCuda<S>)
          add_baseline(result, "cublas",
                       baselines::cublas_matmul(s, d, way, x.act(),
                                                (way == Way::weights ? dw : w).act(), y.act()),
                       result.result);
      },
      context.stream);
  return result;
}

KernelCase attention(Context& context, const KernelShape& k, bool backward) {
  const auto d = kernels::AttentionDims::per_head(k.n, k.h * k.h, 1, k.c);
  const std::size_t out = std::size_t(d.n) * d.tokens * d.channels();
  Buffers b(context);
  const Tensor qkv = b.activations(3 * out), o = b.activations(out), dout = b.activations(out);
  const Tensor dqkv = b.activations(3 * out);
  const Tensor lse = b.raw(std::size_t(d.n) * d.tokens, DType::f32);
  const DType type = context.activations;
  KernelCase result;
  result.bytes = double(out) * size_of(type) * (backward ? 8 : 4);
  result.flops = 2.0 * double(out) * d.tokens * (backward ? 5 : 2);
  result.result = backward ? dqkv : o;
  [[maybe_unused]] const bool fits_v1 = d.tokens <= (backward ? 12500 : 25000);  // versions.h
  std::visit(
      [&]<class S>(S s) {
        const auto forward_scratch = b.memory(kernels::attention_forward_scratch_bytes(s, d, type));
        const auto forward = [=] {
          kernels::attention_forward(s, d, qkv.in(), o.act(), lse.f32(), forward_scratch.get());
        };
        if (backward) {
          context.run([&](auto) { forward(); });  // backward counts on its o and lse
          const auto scratch = b.memory(kernels::attention_backward_scratch_bytes(s, d, type));
          result.run = [=] {
            kernels::attention_backward(s, d, qkv.in(), o.in(), lse.f32(), dout.in(),
                                        overwrite(dqkv), scratch.get());
          };
          if constexpr (OnCuda<S>)
            if (fits_v1)
              result.peers = {{"v1_naive",
                               [=] {
                                 kernels::attention_backward_v1(s, d, qkv.in(), o.in(), lse.f32(),
                                                                dout.in(), overwrite(dqkv),
                                                                scratch.get());
                               },
                               dqkv}};
        } else {
          result.run = forward;
          if constexpr (OnCuda<S>) {
            const auto add = [&](const char* impl,
                                 decltype(&kernels::attention_forward_v1) version) {
              result.peers.push_back(
                  {impl, [=] { version(s, d, qkv.in(), o.act(), lse.f32()); }, o});
            };
            if (fits_v1) add("v1_naive", kernels::attention_forward_v1);
            if (d.head_dim <= 256) add("v2_online", kernels::attention_forward_v2);
            if (d.head_dim <= 256 && type == DType::bf16)
              add("v3_tensor_cores", kernels::attention_forward_v3);
          }
        }
      },
      context.stream);
  return result;
}

}  // namespace

std::vector<KernelCaseMaker> product_kernel_cases() {
  std::vector<KernelCaseMaker> all;
  for (const auto& [name, size, stride] :
       {std::tuple{"conv3x3", 3, 1}, {"conv3x3s2", 3, 2}, {"conv1x1", 1, 1}}) {
    const auto conv = [kernel = size, step = stride](Way way) {
      return [=](Context& c, const KernelShape& k) { return convolution(c, k, kernel, step, way); };
    };
    const char* reading = "images [n,h,h,c], to co channels";
    all.push_back({cat(name, ".forward"),
                   conv(Way::forward),
                   {"v1_naive", "v2_tiled", "v3_tensor_cores", "v4_async", "v5_swizzle"},
                   reading});
    all.push_back({cat(name, ".dgrad"), conv(Way::data), {}, reading});
    all.push_back({cat(name, ".wgrad"), conv(Way::weights), {}, reading});
  }
  const auto each_way = [&](const char* name, KernelCase (*f)(Context&, const KernelShape&, Way),
                            const char* reading) {
    for (const auto& [suffix, way] :
         {std::pair{".forward", Way::forward}, {".dgrad", Way::data}, {".wgrad", Way::weights}})
      all.push_back({cat(name, suffix),
                     [f, way = way](Context& c, const KernelShape& k) { return f(c, k, way); },
                     {},
                     reading});
  };
  each_way("conv_transpose2d", conv_transpose, "images [n,h,h,c], to [n,2h,2h,co]");
  each_way("matmul", linear, "n*h*h rows, from c to co features");
  const auto attend = [](bool backward) {
    return [=](Context& c, const KernelShape& k) { return attention(c, k, backward); };
  };
  const char* tokens = "n images of h*h tokens, one head of c channels";
  all.push_back(
      {"attention.forward", attend(false), {"v1_naive", "v2_online", "v3_tensor_cores"}, tokens});
  all.push_back({"attention.backward", attend(true), {"v1_naive"}, tokens});
  return all;
}

}  // namespace haze::engine
