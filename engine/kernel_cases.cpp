#include "engine/kernel_cases.h"

#include "engine/kernel_buffers.h"
#include "kernels/attention/attention.h"
#include "kernels/common/device.h"
#include "kernels/common/timer.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv_transpose2d/conv_transpose2d.h"
#include "kernels/group_norm/group_norm.h"
#include "kernels/matmul/matmul.h"
#include "kernels/swish/swish.h"

namespace haze::engine {
namespace {

using kernels::Grad;

enum class Way { forward, dgrad, wgrad };

KernelCase convolution(Context& context, const KernelShape& k, int size, int stride, Way way) {
  const int pad = size / 2;
  const kernels::Conv2dDims d{k.n, k.h, k.h, k.c, k.co, size, size, stride, pad, pad, pad, pad};
  const std::size_t in = std::size_t(d.n) * d.h * d.w * d.ci;
  const std::size_t out = std::size_t(d.n) * d.ho() * d.wo() * d.co;
  const std::size_t weights = std::size_t(d.co) * size * size * d.ci;
  Buffers b(context);
  const DType type = context.activations;
  const Tensor x = b.activations(in), w = b.activations(weights), y = b.activations(out);
  const Tensor dw = b.raw(weights, DType::f32), bias = b.normals(std::size_t(d.co), DType::f32);
  KernelCase result;
  result.flops = 2.0 * double(out) * size * size * d.ci;
  result.bytes = double(in + out) * size_of(type) +
                 double(weights) * (way == Way::wgrad ? 4 : double(size_of(type)));
  std::visit(
      [&](auto s) {
        if (way == Way::forward) {
          const kernels::Conv2dSummands summands{bias.f32(), {}, {}};
          const auto scratch =
              b.memory(kernels::conv2d_forward_scratch_bytes(s, d, type, summands));
          result.run = [=] {
            kernels::conv2d_forward(s, d, x.in(), w.in(), {bias.f32(), {}, {}}, y.act(),
                                    scratch.get());
          };
        } else if (way == Way::dgrad) {
          const Grad dx = overwrite(x);
          const auto scratch = b.memory(kernels::conv2d_backward_data_scratch_bytes(s, d, dx));
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
      },
      context.stream);
  return result;
}

KernelCase group_norm(Context& context, const KernelShape& k, bool swish, bool backward) {
  int groups = 32;
  while (k.c % groups) groups /= 2;
  const kernels::GroupNormDims d{k.n, k.h * k.h, k.c, groups, 1e-5f, swish};
  const std::size_t size = std::size_t(d.n) * d.hw * d.c, c = std::size_t(d.c);
  Buffers b(context);
  const Tensor x = b.activations(size), y = b.activations(size), dx = b.activations(size);
  const Tensor gamma = b.normals(c, DType::f32), beta = b.normals(c, DType::f32);
  const Tensor dgamma = b.raw(c, DType::f32), dbeta = b.raw(c, DType::f32);
  const Tensor mean = b.raw(std::size_t(d.n) * groups, DType::f32);
  const Tensor rstd = b.normals(std::size_t(d.n) * groups, DType::f32);
  KernelCase result;
  result.bytes = double(size) * size_of(context.activations) * (backward ? 3 : 2);
  std::visit(
      [&](auto s) {
        const auto scratch = b.memory(kernels::group_norm_scratch_bytes(s, d));
        if (backward)
          result.run = [=] {
            kernels::group_norm_backward(s, d, y.in(), x.in(), gamma.f32(), beta.f32(), mean.f32(),
                                         rstd.f32(), overwrite(dx), overwrite(dgamma),
                                         overwrite(dbeta), scratch.get());
          };
        else
          result.run = [=] {
            kernels::group_norm_forward(s, d, x.in(), gamma.f32(), beta.f32(), y.act(), mean.f32(),
                                        rstd.f32(), scratch.get());
          };
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
  const Tensor lse = b.normals(std::size_t(d.n) * d.tokens, DType::f32);
  const DType type = context.activations;
  KernelCase result;
  result.bytes = double(out) * size_of(type) * (backward ? 8 : 4);
  result.flops = 2.0 * double(out) * d.tokens * (backward ? 5 : 2);
  std::visit(
      [&](auto s) {
        if (backward) {
          const auto scratch = b.memory(kernels::attention_backward_scratch_bytes(s, d, type));
          result.run = [=] {
            kernels::attention_backward(s, d, qkv.in(), o.in(), lse.f32(), dout.in(),
                                        overwrite(dqkv), scratch.get());
          };
        } else {
          const auto scratch = b.memory(kernels::attention_forward_scratch_bytes(s, d, type));
          result.run = [=] {
            kernels::attention_forward(s, d, qkv.in(), o.act(), lse.f32(), scratch.get());
          };
        }
      },
      context.stream);
  return result;
}

KernelCase swish(Context& context, const KernelShape& k) {
  const std::size_t n = std::size_t(k.n) * k.h * k.h * k.c;
  Buffers b(context);
  const Tensor x = b.activations(n), y = b.activations(n);
  KernelCase result;
  result.bytes = 2.0 * double(n) * size_of(x.dtype);
  std::visit([&](auto s) { result.run = [=] { kernels::swish_forward(s, n, x.in(), y.act()); }; },
             context.stream);
  return result;
}

std::vector<std::pair<std::string, KernelCaseMaker>> makers() {
  const auto conv = [](int size, int stride, Way way) -> KernelCaseMaker {
    return [=](Context& c, const KernelShape& k) { return convolution(c, k, size, stride, way); };
  };
  const auto norm = [](bool swish, bool backward) -> KernelCaseMaker {
    return [=](Context& c, const KernelShape& k) { return group_norm(c, k, swish, backward); };
  };
  const auto att = [](bool backward) -> KernelCaseMaker {
    return [=](Context& c, const KernelShape& k) { return attention(c, k, backward); };
  };
  std::vector<std::pair<std::string, KernelCaseMaker>> all = {
      {"conv3x3.forward", conv(3, 1, Way::forward)},
      {"conv3x3.dgrad", conv(3, 1, Way::dgrad)},
      {"conv3x3.wgrad", conv(3, 1, Way::wgrad)},
      {"conv3x3s2.forward", conv(3, 2, Way::forward)},
      {"conv3x3s2.dgrad", conv(3, 2, Way::dgrad)},
      {"conv3x3s2.wgrad", conv(3, 2, Way::wgrad)},
      {"conv1x1.forward", conv(1, 1, Way::forward)},
      {"conv1x1.dgrad", conv(1, 1, Way::dgrad)},
      {"conv1x1.wgrad", conv(1, 1, Way::wgrad)},
      {"group_norm.forward", norm(false, false)},
      {"group_norm.backward", norm(false, true)},
      {"group_norm_swish.forward", norm(true, false)},
      {"group_norm_swish.backward", norm(true, true)},
      {"attention.forward", att(false)},
      {"attention.backward", att(true)},
      {"swish.forward", swish},
  };
  const auto diffusion = diffusion_kernel_cases();
  all.insert(all.end(), diffusion.begin(), diffusion.end());
  return all;
}

}  // namespace

std::string KernelShape::str() const { return cat("n=", n, ",h=", h, ",c=", c, ",co=", co); }

std::vector<std::string> kernel_case_names() {
  std::vector<std::string> names;
  for (const auto& [name, maker] : makers()) names.push_back(name);
  return names;
}

KernelCase kernel_case(Context& context, const std::string& name, const KernelShape& shape) {
  if (shape.n < 1 || shape.h < 1 || shape.c < 1 || shape.co < 1)
    throw InputError(cat("shape: ", shape.str(), "; every extent is at least 1"));
  for (const auto& [known, maker] : makers())
    if (known == name) {
      KernelCase result = maker(context, shape);
      result.kernel = name;
      return result;
    }
  throw InputError(cat("kernel: ", name, "; haze bench kernels --list names them"));
}

double time_milliseconds(Context& context, int times, const std::function<void()>& work) {
  return std::visit([&](auto s) { return kernels::time_milliseconds(s, times, work); },
                    context.stream);
}

void synchronise([[maybe_unused]] const Context& context) {
#if defined(HAZE_CUDA)
  if (const auto* stream = std::get_if<CudaStream>(&context.stream)) kernels::synchronise(*stream);
#endif
}

Roof measure_roof(Context& context) {
  return std::visit(
      [&](auto s) {
        const kernels::Roof roof = kernels::measure_roof(s);
        return Roof{roof.copy_bytes_per_s, roof.matrix_flops};
      },
      context.stream);
}

}  // namespace haze::engine
