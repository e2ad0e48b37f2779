// versions.h — the CUDA convolution's predecessors: forward only, without summands. They are no
// part of the backend; they are kept to be read beside docs/kernels/conv2d.md, and measured.
#pragma once
#include "kernels/base/stream.h"
#include "kernels/conv2d/conv2d.h"

namespace haze::kernels::conv2d_versions {

/// One thread per output.
void v1_naive(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y);

/// Tiles in shared memory, 4x4 outputs per thread, ordinary arithmetic.
void v2_tiled(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y);

}  // namespace haze::kernels::conv2d_versions
