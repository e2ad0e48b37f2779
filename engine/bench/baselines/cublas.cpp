// SPDX-License-Identifier: MIT
// cublas.cpp — a linear layer's three products by cuBLASLt.
//
// cuBLAS's matrices are column-major: what lies in memory as a row-major [rows,columns] is to it a
// matrix of `columns` rows. So it is asked for the transposed product, its factors exchanged:
//   yᵀ [out,rows] = w [out,in] · xᵀ [in,rows], and w is stored transposed
//   dxᵀ [in,rows] = wᵀ [in,out] · dyᵀ [out,rows]
//   dwᵀ [in,out]  = xᵀ [in,rows] · dy [rows,out], and dy is stored transposed
#include "engine/bench/baselines/baselines.h"

#if defined(HAZE_CUBLAS)
#include <array>
#include <cublasLt.h>
#include <memory>

#include "engine/bench/baselines/library.h"
#include "kernels/runtime/memory.h"

namespace haze::engine::baselines {
namespace {

struct Cublas {
  Library library{"libcublasLt.so.13", "libcublasLt.so.12"};
  HAZE_FROM_LIBRARY(cublasLtGetVersion);
  HAZE_FROM_LIBRARY(cublasLtGetStatusString);
  HAZE_FROM_LIBRARY(cublasLtCreate);
  HAZE_FROM_LIBRARY(cublasLtMatmulDescCreate);
  HAZE_FROM_LIBRARY(cublasLtMatmulDescSetAttribute);
  HAZE_FROM_LIBRARY(cublasLtMatmulDescDestroy);
  HAZE_FROM_LIBRARY(cublasLtMatrixLayoutCreate);
  HAZE_FROM_LIBRARY(cublasLtMatrixLayoutDestroy);
  HAZE_FROM_LIBRARY(cublasLtMatmulPreferenceCreate);
  HAZE_FROM_LIBRARY(cublasLtMatmulPreferenceSetAttribute);
  HAZE_FROM_LIBRARY(cublasLtMatmulPreferenceDestroy);
  HAZE_FROM_LIBRARY(cublasLtMatmulAlgoGetHeuristic);
  HAZE_FROM_LIBRARY(cublasLtMatmul);

  void check(cublasStatus_t status, const char* what) const {
    if (status != CUBLAS_STATUS_SUCCESS)
      throw RunError(cat(what, ": ", cublasLtGetStatusString(status)));
  }
};

const Cublas& cublas() {
  static const Cublas one;
  return one;
}

cublasLtHandle_t handle() {
  static const cublasLtHandle_t one = [] {
    cublasLtHandle_t made;
    cublas().check(cublas().cublasLtCreate(&made), "cublasLtCreate");
    return made;
  }();
  return one;
}

cudaDataType_t data_type(DType type) { return type == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

/// A row-major [rows,columns], as cuBLAS sees it.
std::shared_ptr<void> layout(DType type, int rows, int columns) {
  cublasLtMatrixLayout_t made;
  cublas().check(cublas().cublasLtMatrixLayoutCreate(&made, data_type(type), std::uint64_t(columns),
                                                     std::uint64_t(rows), columns),
                 "cublasLtMatrixLayoutCreate");
  return {made, [](auto* p) { cublas().cublasLtMatrixLayoutDestroy(p); }};
}

/// c = op(a)·op(b), where `transpose` says which op transposes.
struct Matmul {
  CudaStream stream;
  std::array<Act, 3> abc;
  std::array<std::shared_ptr<void>, 3> layouts;
  std::shared_ptr<void> operation;

  Matmul(CudaStream s, const std::array<Act, 3>& pointers,
         const std::array<std::array<int, 2>, 3>& shapes, std::array<bool, 2> transpose)
      : stream(s), abc(pointers) {
    const Cublas& api = cublas();
    for (std::size_t i = 0; i < 3; ++i)
      layouts[i] = layout(abc[i].dtype, shapes[i][0], shapes[i][1]);
    const bool tf32 = abc[0].dtype == DType::f32 && stream.tf32;
    cublasLtMatmulDesc_t made;
    api.check(api.cublasLtMatmulDescCreate(
                  &made, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
              "cublasLtMatmulDescCreate");
    operation = {made, [](auto* p) { cublas().cublasLtMatmulDescDestroy(p); }};
    const cublasOperation_t ops[2] = {transpose[0] ? CUBLAS_OP_T : CUBLAS_OP_N,
                                      transpose[1] ? CUBLAS_OP_T : CUBLAS_OP_N};
    for (int i = 0; i < 2; ++i)
      api.check(api.cublasLtMatmulDescSetAttribute(
                    made, i == 0 ? CUBLASLT_MATMUL_DESC_TRANSA : CUBLASLT_MATMUL_DESC_TRANSB,
                    &ops[i], sizeof ops[i]),
                "cublasLtMatmulDescSetAttribute");
  }
  cublasLtMatmulDesc_t descriptor() const {
    return static_cast<cublasLtMatmulDesc_t>(operation.get());
  }
  cublasLtMatrixLayout_t shape(std::size_t i) const {
    return static_cast<cublasLtMatrixLayout_t>(layouts[i].get());
  }
  void run(const cublasLtMatmulAlgo_t& algorithm, void* workspace, std::size_t bytes) const {
    const float one = 1, zero = 0;
    cublas().check(cublas().cublasLtMatmul(handle(), descriptor(), &one, abc[0].data, shape(0),
                                           abc[1].data, shape(1), &zero, abc[2].data, shape(2),
                                           abc[2].data, shape(2), &algorithm, workspace, bytes,
                                           static_cast<cudaStream_t>(stream.handle)),
                   "cublasLtMatmul");
  }
};

Baseline fastest(const Matmul& matmul) {
  constexpr std::size_t kWorkspace = std::size_t{32} << 20;
  constexpr int kWays = 16;
  const Cublas& api = cublas();
  cublasLtMatmulPreference_t preference;
  api.check(api.cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
  const std::shared_ptr<void> owner(preference,
                                    [](auto* p) { cublas().cublasLtMatmulPreferenceDestroy(p); });
  api.check(
      api.cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                               &kWorkspace, sizeof kWorkspace),
      "cublasLtMatmulPreferenceSetAttribute");
  cublasLtMatmulHeuristicResult_t ways[kWays];
  int found = 0;
  api.check(api.cublasLtMatmulAlgoGetHeuristic(handle(), matmul.descriptor(), matmul.shape(0),
                                               matmul.shape(1), matmul.shape(2), matmul.shape(2),
                                               preference, kWays, ways, &found),
            "cublasLtMatmulAlgoGetHeuristic");
  const CudaStream stream = matmul.stream;
  const std::shared_ptr<void> workspace(kernels::allocate(stream, kWorkspace),
                                        [stream](void* p) { kernels::release(stream, p); });
  Fastest fastest(stream);
  for (int i = 0; i < found; ++i)
    fastest.consider([&]() -> std::function<void()> {
      return [matmul, workspace, algorithm = ways[i].algo] {
        matmul.run(algorithm, workspace.get(), kWorkspace);
      };
    });
  return {fastest.run(), fastest.why()};
}

}  // namespace

Baseline cublas_matmul(CudaStream stream, const MatmulDims& d, Product product, Act x, Act w,
                       Act y) {
  try {
    cublas();
  } catch (const RunError&) {
    return {};
  }
  const std::array<int, 2> xs{d.rows, d.in}, ws{d.out, d.in}, ys{d.rows, d.out};
  try {
    if (product == Product::forward)
      return fastest(Matmul(stream, {w, x, y}, {ws, xs, ys}, {true, false}));
    if (product == Product::data)
      return fastest(Matmul(stream, {w, y, x}, {ws, ys, xs}, {false, false}));
    return fastest(Matmul(stream, {x, y, w}, {xs, ys, ws}, {false, true}));
  } catch (const RunError& e) {
    return {{}, e.what()};
  }
}

std::string describe_cublas() try {
  const std::size_t version = cublas().cublasLtGetVersion();
  return cat("cuBLASLt ", version / 10000, '.', version / 100 % 100, '.', version % 100);
} catch (const RunError& e) {
  return cat("cuBLASLt: ", e.what());
}

}  // namespace haze::engine::baselines

#else

namespace haze::engine::baselines {

Baseline cublas_matmul(CudaStream, const MatmulDims&, Product, Act, Act, Act) { return {}; }
std::string describe_cublas() { return "cuBLASLt: its headers were not there for the build"; }

}  // namespace haze::engine::baselines
#endif
