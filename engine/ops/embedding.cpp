// SPDX-License-Identifier: MIT
// embedding.cpp — tape node of the table look-up.
#include "kernels/embedding/embedding.h"

#include "engine/ops.h"

namespace haze::engine {

Var embedding(Tape& tape, Var table, const Tensor& index) {
  const Tensor& rows = tape.value(table);
  HAZE_CHECK(rows.shape.rank() == 2 && index.shape.rank() == 1,
             "table must be [V,D] and index [N]: ", rows.shape.str(), ", ", index.shape.str());
  const kernels::EmbeddingDims d{index.shape[0], rows.shape[0], rows.shape[1]};
  const Tensor y = tape.activation({d.n, d.width});
  tape.run([&](auto s) { kernels::embedding_forward(s, d, rows.in(), index.i32(), y.act()); });
  // Saved for backward: index. Not saved: the table.
  return tape.record("embedding", y, {table}, [=](Tape& t, const Tensor& dy) {
    if (const auto dtable = t.grad_of(table))
      t.run([&](auto s) { kernels::embedding_backward(s, d, dy.in(), index.i32(), dtable); });
  });
}

}  // namespace haze::engine
