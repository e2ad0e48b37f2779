// mse.cu — CUDA version. Two launches: one pass that draws the target, writes the gradient and sums
// tiles, and one block that adds the tiles. A tile is a warp's work, 256 elements of one item, so
// its sum needs no shared memory; the bits depend on n and elements alone.
#include "kernels/mse/mse.h"
#include "kernels/simt/noise.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

template <class T, bool kWhole>
__global__ void __launch_bounds__(kThreads)
    sum_tiles(ItemDims d, unsigned tiles_per_item, const T* pred, Noise given, float factor,
              double* partial, T* dpred) {
  const Noise target = resolved(given);
  const std::size_t tile = std::size_t(blockIdx.x) * kWarps + threadIdx.x / 32;
  const std::size_t n = tile / tiles_per_item;
  if (n >= std::size_t(d.n)) return;  // a whole warp
  static_assert(kMseTile == 2 * 32 * kNormals);
  double sum = 0;
#pragma unroll
  for (unsigned half = 0; half < 2; ++half) {
    const unsigned lane = threadIdx.x % 32 + half * 32;
    const unsigned block = unsigned(tile - n * tiles_per_item) * (kMseTile / kNormals) + lane;
    const int first = int(block) * kNormals, count = d.elements - first;
    if (count <= 0) break;
    const std::size_t at = n * d.elements + first;
    float want[kNormals], v[kNormals];
    normals_of<kWhole>(target, d, n, block, want);
    read<kNormals, kWhole>(pred + at, count, v);
#pragma unroll
    for (int k = 0; k < kNormals; ++k) {
      const float difference = v[k] - want[k];
      if (k < count) sum += double(difference) * double(difference);
      v[k] = factor * difference;
    }
    if (dpred) write<kNormals, kWhole>(dpred + at, count, v);
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) partial[tile] = sum;
}

__global__ void __launch_bounds__(kThreads)
    add_tiles(std::size_t tiles, const double* partial, double size, float* loss) {
  HAZE_SHARED(double[32], room);
  double sum = 0;
  for (std::size_t i = threadIdx.x; i < tiles; i += kThreads) sum += partial[i];
  sum = block_sum(sum, room);
  if (threadIdx.x == 0) *loss = float(sum / size);
}

}  // namespace

template <>
void mse(CudaStream s, const ItemDims& d, ConstAct pred, const Noise& target, float scale,
         void* scratch, float* loss, Act dpred) {
  double* partial = static_cast<double*>(scratch);
  const auto size = double(d.size());
  const auto factor = float(2.0 * scale / size);
  const std::size_t tiles = mse_scratch_bytes(d) / sizeof(double);
  dispatch(pred.dtype, [&]<class T>(T) {
    whole_pieces<kNormals>(d.elements, {pred.data, target.given, dpred.data}, [&]<bool kWhole>() {
      HAZE_LAUNCH((sum_tiles<T, kWhole>), s, unsigned((tiles + kWarps - 1) / kWarps), kThreads, 0,
                  d, unsigned(tiles / std::size_t(d.n)), pred.as<T>(), target, factor, partial,
                  dpred ? dpred.as<T>() : nullptr);
    });
  });
  HAZE_LAUNCH(add_tiles, s, 1, kThreads, 0, tiles, partial, size, loss);
}

}  // namespace haze::kernels
