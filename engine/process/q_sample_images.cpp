// SPDX-License-Identifier: MIT
// q_sample_images.cpp — the forward process from stored images, in one pass.
#include "engine/process/arguments.h"
#include "engine/random.h"

namespace haze::engine {

Noise training_noise(const ImageNoising& o) {
  return {{}, {o.seed, streams::kNoise, o.step}, o.first_item};
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
  const kernels::ImageDraws draws{{o.seed, streams::kTimestep, o.step},
                                  {o.seed, streams::kNoise, o.step},
                                  {o.seed, streams::kFlip, o.step},
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
  context.run([&](auto s) {
    kernels::q_sample_images(s, d, stored, index.i32(), kernel_schedule(tables), draws, out.t.i32(),
                             out.x_t.act(), out.x0.f32());
  });
  return out;
}

}  // namespace haze::engine
