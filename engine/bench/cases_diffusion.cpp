// SPDX-License-Identifier: MIT
#include "engine/bench/kernel_buffers.h"
#include "engine/bench/kernel_cases.h"
#include "kernels/adam/adam.h"
#include "kernels/adam/versions.h"
#include "kernels/blend/blend.h"
#include "kernels/guidance/guidance.h"
#include "kernels/mse/mse.h"
#include "kernels/q_sample/q_sample.h"
#include "kernels/sampler_step/sampler_step.h"
#include "kernels/variational_bound/variational_bound.h"

namespace haze::engine {
namespace {

using kernels::Act;

/// Of as many gradients as the shape has values.
KernelCase global_norm(Context& context, const KernelShape& k) {
  const std::size_t n = std::size_t(k.n) * k.h * k.h * k.c;
  Buffers b(context);
  const Tensor g = b.normals(n, DType::f32), norm = b.raw(1, DType::f32);
  const auto scratch = b.memory(kernels::global_norm_scratch_bytes(n));
  KernelCase result;
  result.bytes = double(g.bytes());
  result.result = norm;
  std::visit(
      [&]<class S>(S s) {
        result.run = [=] { kernels::global_norm(s, n, g.f32(), scratch.get(), norm.f32()); };
        if constexpr (OnCuda<S>)
          result.peers = {
              {"v1_one_block", [=] { kernels::global_norm_v1(s, n, g.f32(), norm.f32()); }, norm}};
      },
      context.stream);
  return result;
}

/// As many parameters as the shape has values: norm, then clip, moments, EMA and bf16 copy. Betas
/// of 0 make the step a function of w and g, so that versions can be compared.
KernelCase adam(Context& context, const KernelShape& k) {
  const std::size_t n = std::size_t(k.n) * k.h * k.h * k.c;
  Buffers b(context);
  const Tensor w = b.normals(n, DType::f32), g = b.normals(n, DType::f32);
  const Tensor m = b.raw(n, DType::f32), v = b.raw(n, DType::f32), ema = b.raw(n, DType::f32);
  const Tensor half = b.raw(n, DType::bf16), said = b.raw(2, DType::f32);
  const auto scratch = b.memory(kernels::global_norm_scratch_bytes(n));
  const kernels::AdamStep c{0, 1, 0, 1, 1e-3f, 1, 1e-8f, 0, 1, 0.001f};
  KernelCase result;
  result.bytes =
      double(n) * (4 + 4 * 5 + 4 * 4 + 2);  // norm; read w g m v ema; write w m v ema half
  result.result = w;
  const auto buffers = [=] {
    return kernels::AdamBuffers{w.f32(), g.f32(),   m.f32(),
                                v.f32(), ema.f32(), static_cast<bf16*>(half.raw())};
  };
  std::visit(
      [&]<class S>(S s) {
        result.run = [=] { kernels::adam_step(s, n, {c}, buffers(), scratch.get(), said.f32()); };
        if constexpr (OnCuda<S>) {
          const auto unfused = b.memory(kernels::adam_step_v1_scratch_bytes(n));
          result.peers = {
              {"v1_unfused",
               [=] { kernels::adam_step_v1(s, n, c, buffers(), unfused.get(), said.f32()); }, w}};
        }
      },
      context.stream);
  return result;
}

KernelCase normal_fill(Context& context, const KernelShape& k) {
  const kernels::ItemDims d{k.n, k.h * k.h * k.c};
  Buffers b(context);
  const Tensor x = b.raw(d.size(), DType::f32);
  KernelCase result;
  result.bytes = double(x.bytes());
  result.run = on(context, [=](auto s) { kernels::normal_fill(s, d, {1, 2, 3}, 0, x.f32()); });
  return result;
}

KernelCase q_sample(Context& context, const KernelShape& k) {
  const kernels::ItemDims d{k.n, k.h * k.h * k.c};
  Buffers b(context);
  const Tensor x0 = b.normals(d.size(), DType::f32), x_t = b.activations(d.size());
  const Tensor t = b.raw(std::size_t(k.n), DType::i32), table = b.normals(1, DType::f32);
  KernelCase result;
  result.bytes = double(d.size()) * (4 + double(size_of(x_t.dtype)));
  std::visit(
      [&](auto s) {
        result.run = [=] {
          kernels::q_sample(s, d, x0.f32(), static_cast<std::int32_t*>(t.raw()),
                            {table.f32(), table.f32(), 1}, {nullptr, {1, 2, 3}, 0}, x_t.act());
        };
      },
      context.stream);
  return result;
}

KernelCase mse(Context& context, const KernelShape& k) {
  const kernels::PredictionDims d{k.n, k.h * k.h, k.c};
  const std::size_t size = d.items().size();
  Buffers b(context);
  const Tensor pred = b.activations(size), dpred = b.activations(size);
  const Tensor loss = b.raw(1, DType::f32);
  const auto scratch = b.memory(kernels::mse_scratch_bytes(d.items()));
  KernelCase result;
  result.bytes = 2.0 * double(size) * size_of(pred.dtype);
  std::visit(
      [&](auto s) {
        result.run = [=] {
          kernels::mse(s, d, pred.in(), {{nullptr, {1, 2, 3}, 0}}, 1, scratch.get(), loss.f32(),
                       dpred.act());
        };
      },
      context.stream);
  return result;
}

KernelCase sampler_step(Context& context, const KernelShape& k) {
  const kernels::PredictionDims d{k.n, k.h * k.h, k.c};
  const std::size_t size = d.items().size();
  Buffers b(context);
  const Tensor x = b.normals(size, DType::f32), eps = b.activations(size);
  const Tensor act = b.activations(size);
  const kernels::SamplerStep c{
      .x0_from_xt = 1, .x0_from_out = -1, .clip = true, .x0 = 0.5f, .xt = 0.5f, .sigma = 0.1f};
  const bool half = context.activations == DType::bf16;
  KernelCase result;
  result.bytes = double(size) * (8 + double(size_of(eps.dtype)) * (half ? 2 : 1));
  std::visit(
      [&](auto s) {
        result.run = [=] {
          kernels::sampler_step(s, d, {c}, x.f32(), eps.in(), {nullptr, {1, 2, 3}, 0},
                                {x.f32(), half ? act.act() : Act{}});
        };
      },
      context.stream);
  return result;
}

KernelCase guidance(Context& context, const KernelShape& k, float rescale) {
  const kernels::PredictionDims d{k.n, k.h * k.h, k.c};
  const std::size_t size = d.items().size();
  const kernels::Guidance g{3, rescale};
  Buffers b(context);
  const Tensor c = b.activations(size), u = b.activations(size), out = b.activations(size);
  const auto scratch = b.memory(kernels::guidance_scratch_bytes(d, g));
  KernelCase result;
  result.bytes = 3.0 * double(size) * size_of(c.dtype);
  std::visit(
      [&](auto s) {
        result.run = [=] { kernels::guidance(s, d, c.in(), u.in(), g, scratch.get(), out.act()); };
      },
      context.stream);
  return result;
}

/// Of images known in every pixel.
KernelCase blend(Context& context, const KernelShape& k) {
  const kernels::BlendDims d{k.n, k.h * k.h, k.c};
  const std::size_t size = d.items().size(), pixels = std::size_t(d.n) * d.pixels;
  Buffers b(context);
  const Tensor x = b.normals(size, DType::f32), x0 = b.normals(size, DType::f32);
  const Tensor mask = b.normals(pixels / 4 + 1, DType::f32);  // bytes of normals are hardly ever 0
  KernelCase result;
  result.bytes = 8.0 * double(size) + double(pixels);
  std::visit(
      [&](auto s) {
        result.run = [=] {
          kernels::blend(s, d, kernels::BlendStep{0.6f, 0.8f},
                         static_cast<const std::uint8_t*>(mask.raw()), x0.f32(),
                         {nullptr, {1, 2, 3}, 0}, x.f32());
        };
      },
      context.stream);
  return result;
}

/// With learned variances; every item at t = 1, or at 0.
KernelCase variational_bound(Context& context, const KernelShape& k, bool first) {
  const kernels::PredictionDims d{k.n, k.h * k.h, k.c, true};
  const std::size_t size = d.items().size();
  Buffers b(context);
  const Tensor x0 = b.normals(size, DType::f32), x_t = b.activations(size);
  const Tensor out = b.activations(2 * size), dout = b.activations(2 * size);
  const Tensor loss = b.raw(1, DType::f32), t = b.raw(std::size_t(k.n), DType::i32);
  const Tensor table = b.raw(2 * sizeof(kernels::BoundStep), DType::u8);
  const kernels::BoundStep steps[2] = {{1, -0.1f, 1, 0, -5, -3}, {1, -0.2f, 0.5f, -4, -4, -3}};
  const std::vector<std::int32_t> times(std::size_t(k.n), first ? 0 : 1);
  const auto scratch = b.memory(kernels::item_sums_bytes(d.items()));
  overwrite(context, table, std::as_bytes(std::span(steps)));
  overwrite(context, t, times);
  KernelCase result;
  result.bytes = double(size) * (4 + 4.0 * size_of(out.dtype));
  std::visit(
      [&](auto s) {
        result.run = [=] {
          kernels::BoundInputs in;
          in.x0 = x0.f32();
          in.x_t = x_t.in();
          in.t = t.i32();
          in.table = static_cast<const kernels::BoundStep*>(table.raw());
          in.steps = 2;
          kernels::variational_bound(s, d, out.in(), in, 1, scratch.get(), loss.f32(), dout.act());
        };
      },
      context.stream);
  return result;
}

}  // namespace

std::vector<KernelCaseMaker> diffusion_kernel_cases() {
  const auto guide = [](float rescale) {
    return [=](Context& c, const KernelShape& k) { return guidance(c, k, rescale); };
  };
  const auto bound = [](bool first) {
    return [=](Context& c, const KernelShape& k) { return variational_bound(c, k, first); };
  };
  return {{"normal_fill", normal_fill},
          {"q_sample", q_sample},
          {"mse", mse},
          {"variational_bound", bound(false)},
          {"variational_bound.t0", bound(true)},
          {"sampler_step", sampler_step},
          {"guidance", guide(0)},
          {"guidance.rescaled", guide(0.7f)},
          {"blend", blend},
          {"global_norm", global_norm, {"v1_one_block"}, "n*h*h*c parameters"},
          {"adam", adam, {"v1_unfused"}, "n*h*h*c parameters"}};
}

}  // namespace haze::engine
