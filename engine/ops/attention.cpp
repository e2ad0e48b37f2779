// SPDX-License-Identifier: MIT
// attention.cpp — tape node of scaled dot-product attention on a fused projection.
#include "kernels/attention/attention.h"

#include "engine/ops.h"

namespace haze::engine {

Var attention(Tape& tape, Var qkv, int heads, QkvLayout layout) {
  const Tensor in = tape.value(qkv);
  const int n = in.shape[0], tokens = in.shape.rank() == 3 ? in.shape[1] : 0;
  HAZE_CHECK(in.shape.rank() == 3 && tokens > 0 && heads > 0 && in.shape[2] > 0 &&
                 in.shape[2] % (3 * heads) == 0,
             "qkv must be [N,T,3C] with C a multiple of the heads: qkv is ", in.shape.str(),
             ", heads ", heads);
  const int head_dim = in.shape[2] / 3 / heads;
  const auto d = layout == QkvLayout::per_head
                     ? kernels::AttentionDims::per_head(n, tokens, heads, head_dim)
                     : kernels::AttentionDims::global(n, tokens, heads, head_dim);
  const Tensor o = tape.empty({n, tokens, d.channels()}, in.dtype);
  const Tensor lse = tape.empty({n, heads, tokens}, DType::f32);
  const auto scratch = tape.scratch(
      [&](auto s) { return kernels::attention_forward_scratch_bytes(s, d, in.dtype); });
  tape.run([&](auto s) {
    kernels::attention_forward(s, d, in.in(), o.act(), lse.f32(), scratch.get());
  });
  // Saved for backward: qkv, the output and one number per row of scores. The scores and
  // probabilities [N,heads,T,T] are computed again.
  return tape.record("attention", o, {qkv}, [=](Tape& t, const Tensor& dy) {
    const auto dqkv = t.grad_of(qkv);
    if (!dqkv) return;
    const auto scratch = t.scratch(
        [&](auto s) { return kernels::attention_backward_scratch_bytes(s, d, in.dtype); });
    t.run([&](auto s) {
      kernels::attention_backward(s, d, in.in(), o.in(), lse.f32(), dy.in(), dqkv, scratch.get());
    });
  });
}

}  // namespace haze::engine
