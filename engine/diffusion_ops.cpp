#include "engine/diffusion_ops.h"

#include "engine/prediction.h"
#include "engine/random.h"
#include "kernels/add/add.h"
#include "kernels/labels/labels.h"
#include "kernels/normal_fill/normal_fill.h"
#include "kernels/runtime/device.h"

namespace haze::engine {
namespace {

Tensor empty(Context& context, Shape shape, DType type) {
  Tensor t{shape, type, nullptr};
  t.storage = context.arena.allocate(t.bytes());
  return t;
}

}  // namespace

Tensor lasting(Context& context, Shape shape, DType type) {
  Tensor t{shape, type, nullptr};
  t.storage = std::visit(
      [&](auto s) -> std::shared_ptr<void> {
        return {kernels::allocate(s, t.bytes()), [s](void* p) { kernels::release(s, p); }};
      },
      context.stream);
  return t;
}

void copy(Context& context, const Tensor& to, const Tensor& from) {
  HAZE_CHECK(to.bytes() == from.bytes() && to.dtype == from.dtype, from.shape.str(), " to ",
             to.shape.str());
  std::visit([&](auto s) { kernels::copy(s, to.raw(), from.raw(), to.bytes()); }, context.stream);
}

namespace {

template <class T>
Tensor resident_values(Context& context, Shape shape, std::span<const T> values) {
  HAZE_CHECK(shape.size() == values.size(), shape.str(), " holds ", shape.size(), " values, got ",
             values.size());
  if (std::holds_alternative<CpuStream>(context.stream)) {
    void* here = const_cast<T*>(values.data());  // kernels only read it
    return {shape, dtype_of<T>, std::shared_ptr<void>(std::shared_ptr<void>(), here)};
  }
  const Tensor t = lasting(context, shape, dtype_of<T>);
  overwrite(context, t, std::as_bytes(values));
  return t;
}

}  // namespace

Tensor resident(Context& context, Shape shape, std::span<const std::uint8_t> values) {
  return resident_values(context, shape, values);
}
Tensor resident(Context& context, Shape shape, std::span<const float> values) {
  return resident_values(context, shape, values);
}

std::size_t free_device_bytes([[maybe_unused]] const Context& context) {
#if defined(HAZE_CUDA)
  if (std::holds_alternative<CudaStream>(context.stream))
    return kernels::cuda_device_info().free_bytes;
#endif
  return SIZE_MAX;
}

void overwrite(Context& context, const Tensor& to, std::span<const std::byte> values) {
  HAZE_CHECK(to.bytes() == values.size(), to.shape.str(), " holds ", to.bytes(), " bytes, got ",
             values.size());
  std::visit([&](auto s) { kernels::copy_in(s, to.raw(), values.data(), values.size()); },
             context.stream);
}

namespace {

template <class T>
Tensor upload(Context& context, Shape shape, std::span<const T> values, Lifetime lifetime) {
  HAZE_CHECK(shape.size() == values.size(), shape.str(), " holds ", shape.size(), " values, got ",
             values.size());
  const Tensor t = lifetime == Lifetime::step ? empty(context, shape, dtype_of<T>)
                                              : lasting(context, shape, dtype_of<T>);
  overwrite(context, t, std::as_bytes(values));
  return t;
}

kernels::Noise kernel_noise(const Noise& noise, Shape shape) {
  HAZE_CHECK(!noise.given || noise.given.shape == shape, "noise is ", noise.given.shape.str(),
             ", the values are ", shape.str());
  return {noise.given.f32(), noise.key, noise.first_item};
}

kernels::NoiseSchedule kernel_schedule(const NoiseTables& tables) {
  HAZE_CHECK(
      tables.steps() > 0 && tables.sqrt_one_minus_alpha_bar.shape == tables.sqrt_alpha_bar.shape,
      "tables are ", tables.sqrt_alpha_bar.shape.str(), " and ",
      tables.sqrt_one_minus_alpha_bar.shape.str());
  return {tables.sqrt_alpha_bar.f32(), tables.sqrt_one_minus_alpha_bar.f32(), tables.steps()};
}

}  // namespace

Tensor to_device(Context& context, Shape shape, std::span<const float> values, Lifetime lifetime) {
  return upload(context, shape, values, lifetime);
}
Tensor to_device(Context& context, Shape shape, std::span<const std::int32_t> values,
                 Lifetime lifetime) {
  return upload(context, shape, values, lifetime);
}
Tensor to_device(Context& context, Shape shape, std::span<const std::uint8_t> values,
                 Lifetime lifetime) {
  return upload(context, shape, values, lifetime);
}

Tensor q_sample(Context& context, const Tensor& x0, const Tensor& t, const NoiseTables& tables,
                const Noise& noise) {
  const auto d = item_dims(x0.shape);
  HAZE_CHECK(t.shape == Shape({d.n}), "x0 is ", x0.shape.str(), ", t is ", t.shape.str());
  const Tensor x_t = empty(context, x0.shape, context.activations);
  std::visit(
      [&](auto s) {
        kernels::q_sample(s, d, x0.f32(), t.i32(), kernel_schedule(tables),
                          kernel_noise(noise, x0.shape), x_t.act());
      },
      context.stream);
  return x_t;
}

Noise training_noise(const ImageNoising& o) {
  return {{}, {o.seed, streams::kNoise, o.step, o.step_at}, o.first_item};
}

NoisedImages q_sample_images(Context& context, const Tensor& images, const Tensor& index,
                             const NoiseTables& tables, const ImageNoising& o) {
  const Shape& all = images.shape;
  HAZE_CHECK(all.rank() == 4 && (images.dtype == DType::u8 || images.dtype == DType::f32) &&
                 index.shape.rank() == 1,
             "images are ", all.str(), ' ', name_of(images.dtype), ", index is ",
             index.shape.str());
  const kernels::ImageDims d{index.shape[0], all[1], all[2], all[3], all[0]};
  const bool given = o.times == TimeDraw::given;
  HAZE_CHECK(!given || o.t.shape == index.shape, "index is ", index.shape.str(), ", t is ",
             o.t.shape.str());
  const kernels::ImageDraws draws{{o.seed, streams::kTimestep, o.step, o.step_at},
                                  {o.seed, streams::kNoise, o.step, o.step_at},
                                  {o.seed, streams::kFlip, o.step, o.step_at},
                                  o.first_item,
                                  o.flip,
                                  o.zero_to_one,
                                  o.times};
  const Shape shape{d.n, d.h, d.w, d.c};
  const NoisedImages out{empty(context, shape, context.activations),
                         given ? o.t : empty(context, {d.n}, DType::i32),
                         o.wants_x0 ? empty(context, shape, DType::f32) : Tensor{}};
  const kernels::StoredImages stored =
      images.dtype == DType::u8
          ? kernels::StoredImages(static_cast<const std::uint8_t*>(images.raw()))
          : kernels::StoredImages(images.f32());
  std::visit(
      [&](auto s) {
        kernels::q_sample_images(s, d, stored, index.i32(), kernel_schedule(tables), draws,
                                 out.t.i32(), out.x_t.act(), out.x0.f32());
      },
      context.stream);
  return out;
}

Tensor batch_labels(Context& context, const Tensor& all, const Tensor& index,
                    const LabelDropping& drop) {
  HAZE_CHECK(all.shape.rank() == 1 && index.shape.rank() == 1, "labels are ", all.shape.str(),
             ", index is ", index.shape.str());
  HAZE_CHECK(drop.probability >= 0 && drop.probability <= 1, "probability ", drop.probability);
  const Tensor out = empty(context, index.shape, DType::i32);
  const kernels::LabelDrop of_batch{drop.probability,
                                    drop.none,
                                    {drop.seed, streams::kLabelDrop, drop.step, drop.step_at},
                                    drop.first_item};
  std::visit(
      [&](auto s) {
        kernels::gather_labels(s, {index.shape[0], all.shape[0]}, all.i32(), index.i32(), of_batch,
                               out.i32());
      },
      context.stream);
  return out;
}

Tensor rows(const Tensor& t, int first, int n) {
  HAZE_CHECK(t.shape.rank() >= 1 && first >= 0 && n >= 0 && first + n <= t.shape[0], "rows [",
             first, ',', first + n, ") of ", t.shape.str());
  std::vector<int> extents{n};
  for (int i = 1; i < t.shape.rank(); ++i) extents.push_back(t.shape[i]);
  const std::size_t row = t.shape[0] == 0 ? 0 : t.bytes() / std::size_t(t.shape[0]);
  char* p = static_cast<char*>(t.raw()) + std::size_t(first) * row;
  return {Shape(extents), t.dtype, std::shared_ptr<void>(t.storage, p)};
}

Tensor guidance(Context& context, const Tensor& x, const Tensor& c, const Tensor& u,
                const Guidance& options) {
  const auto d = prediction_dims(x.shape, c);
  HAZE_CHECK(u.shape == c.shape && u.dtype == c.dtype, "c is ", c.shape.str(), ' ',
             name_of(c.dtype), ", u is ", u.shape.str(), ' ', name_of(u.dtype));
  HAZE_CHECK(options.rescale >= 0 && options.rescale <= 1, "rescale ", options.rescale);
  const Tensor out = empty(context, c.shape, c.dtype);
  const std::size_t bytes = kernels::guidance_scratch_bytes(d, options);
  const auto scratch = bytes == 0 ? nullptr : context.arena.allocate(bytes);
  std::visit(
      [&](auto s) { kernels::guidance(s, d, c.in(), u.in(), options, scratch.get(), out.act()); },
      context.stream);
  return out;
}

namespace {

void run_blend(Context& context, const BlendStep& step, const BlendStep* on_device, const Tensor& x,
               const Tensor& mask, const Tensor& x0, const Noise& z) {
  const Shape& s = x.shape;
  HAZE_CHECK(s.rank() == 4 && (x0.shape == s || x0.shape == Shape({1, s[1], s[2], s[3]})), "x is ",
             s.str(), ", x0 is ", x0.shape.str());
  const bool per_item = mask.shape == Shape({s[0], s[1], s[2]});
  HAZE_CHECK((per_item || mask.shape == Shape({s[1], s[2]})) && mask.dtype == DType::u8, "x is ",
             s.str(), ", the mask is ", mask.shape.str(), ' ', name_of(mask.dtype));
  const kernels::BlendDims d{s[0], s[1] * s[2], s[3], per_item, x0.shape[0] == s[0]};
  std::visit(
      [&](auto stream) {
        kernels::blend(stream, d, step, static_cast<const std::uint8_t*>(mask.raw()), x0.f32(),
                       kernel_noise(z, s), x.f32(), on_device);
      },
      context.stream);
}

}  // namespace

void blend(Context& context, const BlendStep& step, const Tensor& x, const Tensor& mask,
           const Tensor& x0, const Noise& z) {
  run_blend(context, step, nullptr, x, mask, x0, z);
}
void blend(Context& context, const BlendStep* on_device, const Tensor& x, const Tensor& mask,
           const Tensor& x0, const Noise& z) {
  run_blend(context, {}, on_device, x, mask, x0, z);
}

namespace {

Tensor run_sampler_step(Context& context, const SamplerStep& step, const SamplerStep* on_device,
                        const Tensor& x, const Tensor& out, const Noise& z,
                        const SamplerOutputs& outputs) {
  const auto d = prediction_dims(x.shape, out);
  HAZE_CHECK(out.dtype == context.activations, "out is ", name_of(out.dtype));
  for (const Tensor* t : {&outputs.history, &outputs.x0})
    HAZE_CHECK(!*t || t->shape == x.shape, "x is ", x.shape.str(), ", an output ", t->shape.str());
  const bool same = context.activations == DType::f32;
  const Tensor next = same ? x : empty(context, x.shape, context.activations);
  const kernels::SamplerOut to{x.f32(), same ? kernels::Act{} : next.act(), outputs.history.f32(),
                               outputs.x0.f32()};
  std::visit(
      [&](auto s) {
        kernels::sampler_step(s, d, step, x.f32(), out.in(), kernel_noise(z, x.shape), to,
                              on_device);
      },
      context.stream);
  return next;
}

}  // namespace

Tensor sampler_step(Context& context, const SamplerStep& step, const Tensor& x, const Tensor& out,
                    const Noise& z, const SamplerOutputs& outputs) {
  return run_sampler_step(context, step, nullptr, x, out, z, outputs);
}

Tensor sampler_step(Context& context, const SamplerStep* on_device, const Tensor& x,
                    const Tensor& out, const Noise& z, const SamplerOutputs& outputs) {
  return run_sampler_step(context, {}, on_device, x, out, z, outputs);
}

Tensor normal_noise(Context& context, Shape shape, RandomKey key, std::uint32_t first_item) {
  const Tensor x = empty(context, shape, DType::f32);
  std::visit([&](auto s) { kernels::normal_fill(s, item_dims(shape), key, first_item, x.f32()); },
             context.stream);
  return x;
}

namespace {

Tensor converted(Context& context, const Tensor& x, DType type) {
  if (x.dtype == type) return x;
  const Tensor y = empty(context, x.shape, type);
  std::visit(
      [&](auto s) {
        kernels::deliver(s, x.size(), x.in(), {y.raw(), y.dtype, kernels::Write::overwrite});
      },
      context.stream);
  return y;
}

}  // namespace

Tensor zeros(Context& context, Shape shape) {
  const Tensor x = empty(context, shape, context.activations);
  std::visit([&](auto s) { kernels::zero(s, x.raw(), x.bytes()); }, context.stream);
  return x;
}

Tensor to_activations(Context& context, const Tensor& x) {
  return converted(context, x, context.activations);
}
Tensor to_f32(Context& context, const Tensor& x) { return converted(context, x, DType::f32); }

}  // namespace haze::engine
