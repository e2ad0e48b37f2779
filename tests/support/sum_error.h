// SPDX-License-Identifier: MIT
// sum_error.h — how far an f32 sum of products may be from the exact one.
#pragma once
#include <cmath>

#include "kernels/base/dtype.h"
#include "kernels/base/stream.h"

namespace haze::test {

/// Absolute error of a sum of k products of unit normals in f32: about sqrt(k) rounding errors'
/// random walk on partial sums of about sqrt(k), half an ulp each; 8 for the worst of thousands.
inline double sum_error(double k) { return 8 * k * 0x1p-25; }

/// The same where tensor cores may add: they cut sums off instead of rounding them (Fasi, Higham,
/// Mikaitis and Pranesh, 2021), so errors pile up with one sign. Adding g products at a time loses
/// half an ulp, 2^-24.5 of the partial sum, k/g times; partial sums of up to 4·sqrt(j) make that
/// 4·(2/3)·k^1.5 / g · 2^-24.5, below k^1.5·2^-25 for g = 4, the least of any GPU.
inline double cut_sum_error(double k) { return sum_error(k) + k * std::sqrt(k) * 0x1p-25; }

/// Of a product of matrices in `type` on that stream.
inline double product_error(double k, DType type, const Stream& stream) {
  const bool cuts = type == DType::bf16 && cuda_of(stream);
  return cuts ? cut_sum_error(k) : sum_error(k);
}

}  // namespace haze::test
