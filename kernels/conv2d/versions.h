// SPDX-License-Identifier: MIT
// versions.h — the CUDA convolution's predecessors, a ladder of one idea each: forward only, without
// summands. They are no part of the backend; they are kept to be read in order beside
// docs/kernels/conv2d.md, and to be measured against.
#pragma once
#include "kernels/base/stream.h"
#include "kernels/conv2d/conv2d.h"

namespace haze::kernels::conv2d_versions {

/// One thread per output.
void v1_naive(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y);

/// Tiles in shared memory, 4x4 outputs per thread, ordinary arithmetic.
void v2_tiled(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y);

// From here on bf16 only; f32 is a CheckError.

/// The same tiles, multiplied by mma.sync from plain shared memory.
void v3_tensor_cores(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y);

/// Two buffers: cp.async copies one step's tiles while the last step's are multiplied.
void v4_async(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y);

/// ldmatrix, and tiles in an order XORed with the row: no bank conflicts.
void v5_swizzle(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y);

}  // namespace haze::kernels::conv2d_versions
