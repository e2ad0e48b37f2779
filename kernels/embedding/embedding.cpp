// embedding.cpp — CPU backend. Backward walks the table, not the batch: each row belongs to one
// thread, which adds its part of dy in order.
#include "kernels/embedding/embedding.h"

#include <vector>

#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {

template <class From, class To>
void gather(const EmbeddingDims& d, const From* table, const std::int32_t* index, To* y) {
#pragma omp parallel for schedule(static)
  for (int n = 0; n < d.n; ++n) {
    const From* row = table + std::size_t(index[n]) * d.width;
    To* out = y + std::size_t(n) * d.width;
#pragma omp simd
    for (int i = 0; i < d.width; ++i) out[i] = float(row[i]);
  }
}

template <class From, class To>
void scatter(const EmbeddingDims& d, const From* dy, const std::int32_t* index, To* dtable,
             bool adds) {
#pragma omp parallel
  {
    std::vector<float> room(std::size_t(d.width));
    float* sum = room.data();
#pragma omp for schedule(static)
    for (int r = 0; r < d.rows; ++r) {
      To* out = dtable + std::size_t(r) * d.width;
#pragma omp simd
      for (int i = 0; i < d.width; ++i) sum[i] = adds ? float(out[i]) : 0.0f;
      for (int n = 0; n < d.n; ++n) {
        if (index[n] != r) continue;
        const From* in = dy + std::size_t(n) * d.width;
#pragma omp simd
        for (int i = 0; i < d.width; ++i) sum[i] += float(in[i]);
      }
#pragma omp simd
      for (int i = 0; i < d.width; ++i) out[i] = sum[i];
    }
  }
}

}  // namespace

template <>
void embedding_forward(CpuStream, const EmbeddingDims& d, ConstAct table, const std::int32_t* index,
                       Act y) {
  for (int n = 0; n < d.n; ++n)
    HAZE_CHECK(index[n] >= 0 && index[n] < d.rows, "index[", n, "] is ", index[n],
               ", must be in [0,", d.rows, ')');
  dispatch(table.dtype, [&]<class F>(F) {
    dispatch(y.dtype, [&]<class T>(T) { gather(d, table.as<F>(), index, y.as<T>()); });
  });
}

template <>
void embedding_backward(CpuStream, const EmbeddingDims& d, ConstAct dy, const std::int32_t* index,
                        Grad dtable) {
  dispatch(dy.dtype, [&]<class F>(F) {
    dispatch(dtable.dtype,
             [&]<class T>(T) { scatter(d, dy.as<F>(), index, dtable.as<T>(), dtable.adds()); });
  });
}

}  // namespace haze::kernels
