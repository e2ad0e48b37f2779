// SPDX-License-Identifier: MIT
// time_embedding.cpp — tape node of the sinusoidal embedding of t.
#include "kernels/time_embedding/time_embedding.h"

#include "engine/ops.h"

namespace haze::engine {

Var time_embedding(Tape& tape, const Tensor& t, const TimeEmbedding& convention) {
  HAZE_CHECK(t.shape.rank() == 1, "t must be [N], got ", t.shape.str());
  const kernels::TimeEmbeddingDims d{t.shape[0], convention.dim, convention.cosine_first,
                                     convention.freq_shift, convention.step_first};
  const Tensor y = tape.activation({d.n, d.dim});
  tape.run([&](auto s) { kernels::time_embedding(s, d, t.i32(), y.act()); });
  // No gradient: t is an integer.
  return tape.leaf(y);
}

}  // namespace haze::engine
