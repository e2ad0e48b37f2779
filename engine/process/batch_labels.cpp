// SPDX-License-Identifier: MIT
// batch_labels.cpp — the labels of a training batch, some withheld.
#include "engine/process/process.h"
#include "engine/random.h"
#include "kernels/labels/labels.h"

namespace haze::engine {

Tensor batch_labels(Context& context, const Tensor& all, const Tensor& index,
                    const LabelDropping& drop) {
  HAZE_CHECK(all.shape.rank() == 1 && index.shape.rank() == 1, "labels are ", all.shape.str(),
             ", index is ", index.shape.str());
  HAZE_CHECK(drop.probability >= 0 && drop.probability <= 1, "probability ", drop.probability);
  const Tensor out = empty(context, index.shape, DType::i32);
  const kernels::LabelDrop of_batch{
      drop.probability, drop.none, {drop.seed, streams::kLabelDrop, drop.step}, drop.first_item};
  context.run([&](auto s) {
    kernels::gather_labels(s, {index.shape[0], all.shape[0]}, all.i32(), index.i32(), of_batch,
                           out.i32());
  });
  return out;
}

}  // namespace haze::engine
