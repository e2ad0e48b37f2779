// SPDX-License-Identifier: MIT
// labels.h — contract of a batch's class labels, some of them withheld, so that one network learns
// with and without a class (Ho & Salimans, "Classifier-free guidance", 2022,
// algorithm 1, arXiv 2207.12598).
#pragma once
#include <cstdint>

#include "kernels/base/philox.h"

namespace haze::kernels {

/// A batch of n out of `stored` labels.
struct LabelDims {
  int n, stored;
};

/// Item first_item + n is dropped with `probability`: if block 0's first draw < probability·2^32.
struct LabelDrop {
  float probability = 0;  // in [0,1]
  std::int32_t none = 0;  // what a dropped label becomes
  RandomKey key;
  std::uint32_t first_item = 0;
};

/// The first draws below this drop; 2^32 of them are certain to.
inline std::uint64_t drop_threshold(float probability) {
  return std::uint64_t(double(probability) * 0x1p32);
}

/// out[n] = labels[index[n]], or drop.none. Overwrites out [n]. An index outside [0,stored):
/// CheckError on the CPU, -1 on a device, which is no row of any table of embeddings.
template <class S>
void gather_labels(S stream, const LabelDims& d, const std::int32_t* labels,
                   const std::int32_t* index, const LabelDrop& drop, std::int32_t* out);

}  // namespace haze::kernels
