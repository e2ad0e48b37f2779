// mse.h — contract of the training loss: value and gradient of the mean squared error in one pass,
// against given numbers or against noise that is drawn again.
#pragma once
#include "kernels/common/dtype.h"
#include "kernels/common/noise.h"

namespace haze::kernels {

/// An item is cut into tiles of this many elements; each tile's sum of squares is one double.
constexpr int kMseTile = 256;
inline std::size_t mse_scratch_bytes(const ItemDims& d) {
  return std::size_t(d.n) * std::size_t((d.elements + kMseTile - 1) / kMseTile) * sizeof(double);
}

/// loss[0] = mean of (pred - target)² over [n,elements], summed in double, in tiles and then over
/// them, in an order that n and elements alone fix. Unless dpred is null: dpred =
/// scale·2/(n·elements)·(pred - target), of pred's type. Overwrites loss, dpred (no alias of pred)
/// and scratch.
template <class S>
void mse(S stream, const ItemDims& d, ConstAct pred, const Noise& target, float scale,
         void* scratch, float* loss, Act dpred);

}  // namespace haze::kernels
