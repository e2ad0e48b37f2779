// SPDX-License-Identifier: MIT
// baselines.h — the products of layers by NVIDIA's libraries, for haze's kernels to be measured
// against. Only the bench calls them. They are opened while the program runs (library.h), so that
// haze neither needs them to start nor knows where they are; it is compiled with their headers
// where CMake finds these, and says so where it was not.
#pragma once
#include <functional>
#include <string>

#include "kernels/base/stream.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/matmul/matmul.h"

namespace haze::engine::baselines {

using kernels::Act;
using kernels::Conv2dDims;
using kernels::MatmulDims;

/// Which of a layer's three products is to be overwritten: y, the gradient of x, or that of w.
enum class Product { forward, data, weights };

/// A product as a library computes it fastest, of the ways that its heuristics propose: each was
/// run on the stream and timed. Deterministic or not, in whatever order of sums; of f32 it rounds
/// what it multiplies to tf32 only where stream.tf32.
struct Baseline {
  std::function<void()> run;  // capturable; null if there is no way
  std::string why;            // not, in the library's words; empty if the library is not there
};

/// A convolution by cuDNN, without summands; its workspace is at most 1 GiB. All three of one type.
/// Product::data reads y and overwrites x, Product::weights reads x and y and overwrites w.
Baseline cudnn_convolution(CudaStream stream, const Conv2dDims& d, Product product, Act x, Act w,
                           Act y);

/// A linear layer's product by cuBLASLt, without bias and residual; its workspace is at most 32
/// MiB. The product may be f32 where what is multiplied is bf16.
Baseline cublas_matmul(CudaStream stream, const MatmulDims& d, Product product, Act x, Act w,
                       Act y);

/// "cuDNN 9.10.2", or why there is none: "cuDNN: libcudnn.so.9: cannot open shared object file".
std::string describe_cudnn();
std::string describe_cublas();

}  // namespace haze::engine::baselines
