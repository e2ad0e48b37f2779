// SPDX-License-Identifier: MIT
// runtime_fault_test.cpp — what the host side makes of a call that CUDA refuses: it says which call
// and why, nothing is left that a later call would take for its own, and the next try succeeds.
#include <set>
#include <utility>

#include "kernels/cuda/runtime_api.h"
#include "kernels/cuda/simt.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/graph.h"
#include "kernels/runtime/memory.h"
#include "kernels/runtime/prefetch.h"
#include "kernels/runtime/timer.h"
#include "kernels/simt/emulator/emulator.h"
#include "kernels/simt/emulator/runtime_call.h"
#include "tests/support/test.h"

namespace haze {
namespace {

using testing::HasSubstr;

constexpr std::size_t kMany = 3000;  // floats: more than travel by the ring

__global__ void plus_one(float* x) {
  HAZE_DYNAMIC_SHARED(float, s);
  s[threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = s[threadIdx.x] + 1;
}

/// Everything that haze asks of CUDA's run time. What is read back must be right, whatever failed.
void use_all_of_it() {
  const Stream opened = kernels::open_cuda(0);
  const CudaStream stream = std::get<CudaStream>(opened);
  kernels::cuda_device_info();
  const std::shared_ptr<float> x(
      static_cast<float*>(kernels::allocate(stream, kMany * sizeof(float))),
      [=](float* p) { kernels::release(stream, p); });
  kernels::copy_in(stream, x.get(), std::vector<float>(kMany, 5).data(), kMany * sizeof(float));
  const float one = 1;
  kernels::copy_in(stream, x.get(), &one, sizeof one);
  kernels::copy(stream, x.get() + 1, x.get(), sizeof(float));
  kernels::zero(stream, x.get() + 2, sizeof(float));
  HAZE_LAUNCH(plus_one, stream, 1, 32, 50 * 1024, x.get());
  kernels::CapturedGraph graph;
  graph.capture(stream, [&] { HAZE_LAUNCH(plus_one, stream, 1, 32, 128, x.get()); });
  graph.launch(stream);
  kernels::synchronise(stream);
  std::vector<float> got(4);
  kernels::copy_out(stream, got.data(), x.get(), 4 * sizeof(float));
  EXPECT_EQ(got, (std::vector<float>{3, 3, 2, 7}));
  kernels::Prefetch prefetch(stream, sizeof(float));
  *reinterpret_cast<float*>(prefetch.buffer()) = 8;
  prefetch.send();
  prefetch.take(x.get());
  kernels::copy_out(stream, got.data(), x.get(), sizeof(float));
  EXPECT_EQ(got[0], 8);
  EXPECT_GE(kernels::time_milliseconds(stream, 2, [&] { kernels::zero(stream, x.get(), 4); }), 0);
}

// What frees, or tells what is good to know, is let go when it fails.
const std::set<std::string> kLetGo = {
    "cudaDriverGetVersion", "cudaRuntimeGetVersion", "cudaFree",         "cudaFreeHost",
    "cudaEventDestroy",     "cudaGraphExecDestroy",  "cudaGraphDestroy", "cudaStreamDestroy",
    "cudaStreamSynchronize"  // in the destructor of a Prefetch
};

constexpr const char* kAll[] = {"cudaGetDeviceCount",
                                "cudaFuncGetAttributes",
                                "cudaGetDeviceProperties",
                                "cudaSetDevice",
                                "cudaMalloc",
                                "cudaFree",
                                "cudaMallocHost",
                                "cudaMemGetInfo",
                                "cudaMemcpyAsync",
                                "cudaMemsetAsync",
                                "cudaStreamCreateWithFlags",
                                "cudaStreamSynchronize",
                                "cudaStreamWaitEvent",
                                "cudaStreamBeginCapture",
                                "cudaStreamIsCapturing",
                                "cudaStreamEndCapture",
                                "cudaGraphInstantiate",
                                "cudaGraphLaunch",
                                "cudaGraphExecDestroy",
                                "cudaEventCreateWithFlags",
                                "cudaEventRecord",
                                "cudaEventSynchronize",
                                "cudaEventElapsedTime",
                                "cudaEventDestroy",
                                "cudaFuncSetAttribute",
                                "cudaLaunchKernel"};

TEST(RuntimeFaults, ACallThatFailsIsNamedAndTheNextOneWorks) {
  std::set<std::string> failed;
  use_all_of_it();  // whose ring of page-locked memory then exists
  for (std::uint64_t n = 1;; ++n) {
    ASSERT_LT(n, 500u);
    simt::fail_call(n, cudaErrorInvalidResourceHandle);
    std::string said;
    try {
      use_all_of_it();
    } catch (const std::exception& e) {
      said = e.what();
    }
    const char* const call = simt::failed_call();
    simt::fail_no_call();
    if (!call) break;
    failed.insert(call);
    if (!said.empty() || !kLetGo.contains(call)) {
      EXPECT_THAT(said, HasSubstr("cudaErrorInvalidResourceHandle")) << n << ": " << call;
      const bool counting = call == std::string("cudaGetDeviceCount");
      EXPECT_THAT(said, HasSubstr(counting ? "no NVIDIA GPU was found" : call)) << n;
    }
    EXPECT_EQ(cudaGetLastError(), cudaSuccess) << n << ": " << call << " is left behind";
    use_all_of_it();
  }
  for (const char* call : kAll) EXPECT_TRUE(failed.contains(call)) << call << " was never called";
}

std::string opening_says() {
  try {
    kernels::open_cuda(0);
  } catch (const DeviceError& e) {
    return e.what();
  }
  return "";
}

TEST(RuntimeFaults, AMissingDriverIsNotAMissingGpu) {
  simt::fail_call(3, cudaErrorInsufficientDriver);  // after the two versions
  EXPECT_THAT(opening_says(), HasSubstr("the NVIDIA driver supports CUDA 13.0"));
  simt::fail_call(1, cudaErrorInsufficientDriver);  // CUDA says 0 then
  simt::fail_call(3, cudaErrorInsufficientDriver);
  EXPECT_THAT(opening_says(), HasSubstr("no NVIDIA driver was found"));
  simt::fail_call(3, cudaErrorNoDevice);
  EXPECT_THAT(opening_says(), HasSubstr("no NVIDIA GPU was found (cudaErrorNoDevice"));
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(opening_says(), "");
}

TEST(RuntimeFaults, AGpuThatThereIsNoCodeForIsNamedBeforeTheFirstLaunch) {
  const int before = std::exchange(simt::config().capability, 121);
  simt::counters() = {};
  for (const cudaError_t error :
       {cudaErrorInvalidDeviceFunction, cudaErrorNoKernelImageForDevice, cudaErrorInvalidPtx,
        cudaErrorJitCompilerNotFound, cudaErrorUnsupportedPtxVersion,
        cudaErrorJitCompilationDisabled}) {
    simt::fail_call(6, error);  // after versions, count, properties and cudaSetDevice
    const std::string said = opening_says();
    EXPECT_THAT(said, HasSubstr("compute capability 12.1, this haze holds the emulator's code"));
    EXPECT_THAT(said, HasSubstr(cudaGetErrorName(error)));
    EXPECT_THAT(said, HasSubstr("-DCMAKE_CUDA_ARCHITECTURES=121"));
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_STREQ(simt::failed_call(), "cudaFuncGetAttributes");
  }
  EXPECT_EQ(simt::counters().launches, 0u);
  EXPECT_EQ(opening_says(), "");
  simt::config().capability = 75;
  EXPECT_THAT(opening_says(), HasSubstr("compute capability 7.5, haze needs 8.0"));
  simt::config().capability = before;
}

TEST(RuntimeFaults, AFaultInAKernelNamesTheWayToFindIt) {
  simt::fail_call(1, cudaErrorIllegalAddress);
  try {
    kernels::synchronise(CudaStream{});
    ADD_FAILURE() << "nothing was said";
  } catch (const RunError& e) {
    EXPECT_THAT(e.what(), HasSubstr("cudaErrorIllegalAddress"));
    EXPECT_THAT(e.what(), HasSubstr("CUDA_LAUNCH_BLOCKING=1"));
  }
}

TEST(RuntimeFaults, MoreSharedMemoryThanThereIsIsRefusedWithTheFigure) {
  try {
    HAZE_LAUNCH(plus_one, CudaStream{}, 1, 32, simt::config().limits.shared + 1, nullptr);
    ADD_FAILURE() << "it was launched";
  } catch (const RunError& e) {
    EXPECT_THAT(e.what(),
                HasSubstr(cat("launch of plus_one with ", simt::config().limits.shared + 1,
                              " bytes of dynamic shared memory")));
    EXPECT_THAT(e.what(), HasSubstr("cudaFuncSetAttribute: cudaErrorInvalidValue"));
  }
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

}  // namespace
}  // namespace haze
