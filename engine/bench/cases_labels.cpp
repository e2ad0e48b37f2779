// SPDX-License-Identifier: MIT
// cases_labels.cpp — times, labels and the loss of a classifier as something to time: small
// work, of which a call's own cost is most.
#include <algorithm>

#include "engine/bench/kernel_buffers.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/embedding/embedding.h"
#include "kernels/labels/labels.h"
#include "kernels/time_embedding/time_embedding.h"

namespace haze::engine {
namespace {

/// n times, to c numbers each (the next even number from 4).
KernelCase time_embedding(Context& context, const KernelShape& k) {
  const kernels::TimeEmbeddingDims d{k.n, std::max(4, k.c + k.c % 2)};
  Buffers b(context);
  const Tensor t = b.indices(std::size_t(d.n), 1000);
  const Tensor y = b.activations(std::size_t(d.n) * d.dim);
  KernelCase result;
  result.bytes = double(t.bytes() + y.bytes());
  result.run = on(context, [=](auto s) { kernels::time_embedding(s, d, t.i32(), y.act()); });
  return result;
}

/// n labels out of 60,000, a tenth of them dropped.
KernelCase labels(Context& context, const KernelShape& k) {
  const kernels::LabelDims d{k.n, 60000};
  const kernels::LabelDrop drop{0.1f, 10, {1, 2, 3}, 0};
  Buffers b(context);
  const Tensor all = b.indices(std::size_t(d.stored), 10);
  const Tensor index = b.indices(std::size_t(d.n), d.stored);
  const Tensor out = b.raw(std::size_t(d.n), DType::i32);
  KernelCase result;
  result.bytes = 3.0 * double(out.bytes());
  result.run = on(context, [=](auto s) {
    kernels::gather_labels(s, d, all.i32(), index.i32(), drop, out.i32());
  });
  return result;
}

/// n rows of c numbers out of a table of co; backward writes the whole table.
KernelCase embedding(Context& context, const KernelShape& k, bool backward) {
  const kernels::EmbeddingDims d{k.n, k.co, k.c};
  Buffers b(context);
  const Tensor table = b.normals(std::size_t(d.rows) * d.width, DType::f32);
  const Tensor index = b.indices(std::size_t(d.n), d.rows);
  const Tensor y = b.activations(std::size_t(d.n) * d.width);
  const double rows = backward ? d.rows : std::min(d.n, d.rows);
  KernelCase result;
  result.bytes = double(index.bytes() + y.bytes()) + rows * d.width * 4;
  result.run = on(context, [=](auto s) {
    if (backward)
      kernels::embedding_backward(s, d, y.in(), index.i32(), overwrite(table));
    else
      kernels::embedding_forward(s, d, table.in(), index.i32(), y.act());
  });
  return result;
}

/// n items of co classes.
KernelCase cross_entropy(Context& context, const KernelShape& k) {
  const kernels::CrossEntropyDims d{k.n, k.co};
  Buffers b(context);
  const Tensor logits = b.activations(std::size_t(d.n) * d.classes);
  const Tensor dlogits = b.activations(logits.size()), loss = b.raw(1, DType::f32);
  const Tensor label = b.indices(std::size_t(d.n), d.classes);
  const auto scratch = b.memory(kernels::cross_entropy_scratch_bytes(d));
  KernelCase result;
  result.bytes = double(2 * logits.bytes() + label.bytes() + loss.bytes());
  result.run = on(context, [=](auto s) {
    kernels::cross_entropy(s, d, logits.in(), label.i32(), 1, scratch.get(), loss.f32(),
                           dlogits.act());
  });
  return result;
}

}  // namespace

std::vector<KernelCaseMaker> label_kernel_cases() {
  const auto look_up = [](bool backward) {
    return [=](Context& c, const KernelShape& k) { return embedding(c, k, backward); };
  };
  const char* const kTable = "n rows of c, of a table of co";
  return {{"time_embedding", time_embedding, {}, "n times, each to a vector of c"},
          {"labels", labels, {}, "n labels"},
          {"embedding.forward", look_up(false), {}, kTable},
          {"embedding.backward", look_up(true), {}, kTable},
          {"cross_entropy", cross_entropy, {}, "n rows of co classes"}};
}

}  // namespace haze::engine
