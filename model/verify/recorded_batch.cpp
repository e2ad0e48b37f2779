// SPDX-License-Identifier: MIT
#include "model/verify/recorded_batch.h"

namespace haze::model {

Noising recorded_noising(engine::Context& context, const engine::NoiseTables& tables,
                         const RecordedBatch& batch) {
  using engine::Shape, engine::Tensor;
  const std::size_t image = Shape({batch.height, batch.width, batch.channels}).size();
  HAZE_CHECK(batch.n >= 1 && batch.x0.size() == std::size_t(batch.n) * image &&
                 batch.noise.size() == batch.x0.size() && batch.t.size() == std::size_t(batch.n),
             batch.n, " images of ", image, " values: x0 ", batch.x0.size(), ", noise ",
             batch.noise.size(), ", t ", batch.t.size());
  return [&context, &tables, batch, image](int first, int n) -> NoisedBatch {
    const std::size_t from = std::size_t(first) * image, count = std::size_t(n) * image;
    const Shape shape{n, batch.height, batch.width, batch.channels};
    const Tensor x0 = engine::upload(context, shape, batch.x0.subspan(from, count));
    const engine::Noise noise{
        engine::upload(context, shape, batch.noise.subspan(from, count)), {}, std::uint32_t(first)};
    const Tensor t =
        engine::upload(context, {n}, batch.t.subspan(std::size_t(first), std::size_t(n)));
    return {engine::q_sample(context, x0, t, tables, noise), t, noise, x0, {}};
  };
}

}  // namespace haze::model
