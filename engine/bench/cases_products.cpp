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

using Way = kernels::baselines::Product;

/// Makes a library's way of computing the case a peer, or says why it has none.
[[maybe_unused]] void add_baseline(KernelCase& to, const char* impl,
                                   const kernels::baselines::Baseline& found,
                                   const Tensor& result) {
  if (found.run)
    to.peers.push_back({impl, found.run, result});
  else if (!found.why.empty())
    to.without.push_back(cat(impl, ": ", found.why));
}

KernelCase convolution(Context& context, const KernelShape& k, int size, int stride, Way way) {
  const int pad = size / 2;
  const kernels::Conv2dDims d{k.n, k.h, k.h, k.c, k.co, size, size, stride, pad, pad, pad, pad};
  const std::size_t in = std::size_t(d.n) * d.h * d.w * d.ci;
  const std::size_t out = std::size_t(d.n) * d.ho() * d.wo() * d.co;
  const std::size_t weights = std::size_t(d.co) * size * size * d.ci;
  Buffers b(context);
  const DType type = context.activations;
  const Tensor x = b.activations(in), w = b.activations(weights), y = b.activations(out);
  const Tensor dw = b.raw(weights, DType::f32);
  // Zeros: the peers compute the product alone.
  const Tensor bias = b.raw(std::size_t(d.co), DType::f32);
  KernelCase result;
  result.flops = 2.0 * double(out) * size * size * d.ci;
  result.bytes = double(in + out) * size_of(type) +
                 double(weights) * (way == Way::weights ? 4 : double(size_of(type)));
  result.result = way == Way::forward ? y : way == Way::data ? x : dw;
  std::visit(
      [&]<class S>(S s) {
        if (way == Way::forward) {
          const kernels::Conv2dSummands summands{bias.f32(), {}, {}};
          const auto scratch =
              b.memory(kernels::conv2d_forward_scratch_bytes(s, d, type, summands));
          result.run = [=] {
            kernels::conv2d_forward(s, d, x.in(), w.in(), {bias.f32(), {}, {}}, y.act(),
                                    scratch.get());
          };
          if constexpr (OnCuda<S>) {
            namespace earlier = kernels::conv2d_versions;
            const auto add = [&](const char* impl, decltype(&earlier::v1_naive) version) {
              result.peers.push_back({impl, [=] { version(s, d, x.in(), w.in(), y.act()); }, y});
            };
            add("v1_naive", earlier::v1_naive);
            add("v2_tiled", earlier::v2_tiled);
            if (type == DType::bf16) {
              add("v3_tensor_cores", earlier::v3_tensor_cores);
              add("v4_async", earlier::v4_async);
              add("v5_swizzle", earlier::v5_swizzle);
            }
          }
        } else if (way == Way::data) {
          const auto scratch =
              b.memory(kernels::conv2d_backward_data_scratch_bytes(s, d, overwrite(x)));
          result.run = [=] {
            kernels::conv2d_backward_data(s, d, y.in(), w.in(), overwrite(x), scratch.get());
          };
        } else {
          const kernels::Conv2dWeightGrads grads{overwrite(dw), overwrite(bias), {}};
          const auto scratch =
              b.memory(kernels::conv2d_backward_weights_scratch_bytes(s, d, type, grads));
          result.run = [=] {
            kernels::conv2d_backward_weights(s, d, x.in(), y.in(),
                                             {overwrite(dw), overwrite(bias), {}}, scratch.get());
          };
        }
        if constexpr (OnCuda<S>) {
          using namespace kernels::baselines;
          // cuDNN's gradient of the weights has the type of what it is computed from.
          const bool own = way == Way::weights && type != DType::f32;
          const Tensor into = own ? b.raw(weights, type) : result.result;
          const kernels::Act third = way == Way::weights ? into.act() : w.act();
          add_baseline(result, "cudnn", cudnn_convolution(s, d, way, x.act(), third, y.act()),
                       into);
          if (size == 1 && stride == 1)
            add_baseline(result, "cublas",
                         cublas_matmul(s, {d.n * d.h * d.w, d.ci, d.co}, way, x.act(),
                                       way == Way::weights ? dw.act() : w.act(), y.act()),
                         result.result);
        }
      },
      context.stream);
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
                       kernels::baselines::cublas_matmul(
                           s, d, way, x.act(), (way == Way::weights ? dw : w).act(), y.act()),
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
  [[maybe_unused]] const bool fits_v1 = d.tokens <= (backward ? 20000 : 40000);
  std::visit(
      [&]<class S>(S s) {
        const auto forward_scratch = b.memory(kernels::attention_forward_scratch_bytes(s, d, type));
        const auto forward = [=] {
          kernels::attention_forward(s, d, qkv.in(), o.act(), lse.f32(), forward_scratch.get());
        };
        if (backward) {
          forward();  // backward counts on its o and lse
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
    const auto conv = [=](Way way) {
      return [=](Context& c, const KernelShape& k) { return convolution(c, k, size, stride, way); };
    };
    all.push_back({cat(name, ".forward"),
                   conv(Way::forward),
                   {"v1_naive", "v2_tiled", "v3_tensor_cores", "v4_async", "v5_swizzle"}});
    all.push_back({cat(name, ".dgrad"), conv(Way::data)});
    all.push_back({cat(name, ".wgrad"), conv(Way::weights)});
  }
  const auto each_way = [&](const char* name, KernelCase (*f)(Context&, const KernelShape&, Way)) {
    for (const auto& [suffix, way] :
         {std::pair{".forward", Way::forward}, {".dgrad", Way::data}, {".wgrad", Way::weights}})
      all.push_back(
          {cat(name, suffix), [=](Context& c, const KernelShape& k) { return f(c, k, way); }});
  };
  each_way("conv_transpose2d", conv_transpose);
  each_way("matmul", linear);
  const auto attend = [](bool backward) {
    return [=](Context& c, const KernelShape& k) { return attention(c, k, backward); };
  };
  all.push_back({"attention.forward", attend(false), {"v1_naive", "v2_online", "v3_tensor_cores"}});
  all.push_back({"attention.backward", attend(true), {"v1_naive"}});
  return all;
}

}  // namespace haze::engine
