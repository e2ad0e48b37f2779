// SPDX-License-Identifier: MIT
// emulator_test.cpp — the emulator's own proof: it computes what CUDA computes, and each rule of
// CUDA that it checks is broken by a planted kernel and found.
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/runtime_api.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/vec.h"
#include "kernels/runtime/memory.h"
#include "kernels/simt/emulator/device_memory.h"
#include "tests/support/test.h"

namespace haze {
namespace {

using simt::Order;
using simt::Schedule;

/// Device memory that a test reads back.
template <class T>
struct Buffer {
  explicit Buffer(std::size_t n)
      : n(n), p(static_cast<T*>(kernels::allocate(CudaStream{}, n * sizeof(T)))) {}
  explicit Buffer(const std::vector<T>& v) : Buffer(v.size()) {
    kernels::copy_in(CudaStream{}, p, v.data(), n * sizeof(T));
    cudaStreamSynchronize(nullptr);  // other streams may follow
  }
  ~Buffer() { kernels::release(CudaStream{}, p); }
  std::vector<T> read() const {
    std::vector<T> v(n);
    kernels::copy_out(CudaStream{}, v.data(), p, n * sizeof(T));
    return v;
  }
  std::size_t n;
  T* p;
};

class Emulator : public testing::Test {
 protected:
  const simt::Config before_ = simt::config();
  ~Emulator() override { simt::config() = before_; }
  static CudaStream stream() { return {}; }
  /// Expects the error under every schedule.
  template <class F>
  static void expect_error(F launch, const std::string& text) {
    for (const Schedule& s : simt::schedules(3)) {
      simt::config().schedule = s;
      try {
        launch();
        cudaDeviceSynchronize();
        ADD_FAILURE() << s.str() << ": nothing was found; expected: " << text;
      } catch (const simt::Error& e) {
        EXPECT_THAT(e.what(), testing::HasSubstr(text)) << s.str();
      }
    }
  }
};

__global__ void reverse_block(const int* x, int* y) {
  HAZE_SHARED(int[96], tile);
  tile[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  y[blockIdx.x * blockDim.x + threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

TEST_F(Emulator, RunsEveryThreadOfEveryBlockUnderEverySchedule) {
  std::vector<int> in(96 * 5);
  for (int i = 0; i < int(in.size()); ++i) in[std::size_t(i)] = i;
  for (const Schedule& s : simt::schedules(4)) {
    simt::config().schedule = s;
    const Buffer<int> x(in), y(in.size());
    HAZE_LAUNCH(reverse_block, stream(), 5, 96, 0, x.p, y.p);
    const auto out = y.read();
    for (int i = 0; i < int(in.size()); ++i)
      ASSERT_EQ(out[std::size_t(i)], i / 96 * 96 + 95 - i % 96) << s.str();
  }
}

__global__ void missing_barrier(const int* x, int* y) {
  HAZE_SHARED(int[96], tile);
  tile[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = tile[95 - threadIdx.x];
}

TEST_F(Emulator, AMissingBarrierChangesTheResultInSomeSchedule) {
  const Buffer<int> x(std::vector<int>(96, 7)), y(96);
  int wrong = 0;
  for (const Schedule& s : simt::schedules(3)) {
    simt::config().schedule = s;
    HAZE_LAUNCH(missing_barrier, stream(), 1, 96, 0, x.p, y.p);
    wrong += y.read() != std::vector<int>(96, 7);
  }
  EXPECT_EQ(wrong, 5);  // poisoned shared memory shows it in every one
}

__global__ void coordinates(int* y) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  y[block * blockDim.x * blockDim.y * blockDim.z + thread] = int(thread * 1000 + block);
}

TEST_F(Emulator, NumbersThreadsAndBlocksInThreeDimensions) {
  const Buffer<int> y(3 * 2 * 2 * 5 * 3 * 2);
  HAZE_LAUNCH(coordinates, stream(), dim3(3, 2, 2), dim3(5, 3, 2), 0, y.p);
  const auto out = y.read();
  for (int i = 0; i < int(out.size()); ++i) ASSERT_EQ(out[std::size_t(i)], i % 30 * 1000 + i / 30);
}

// ---- planted mistakes
// ------------------------------------------------------------------------------
__global__ void divergent_barrier(float* y) {
  if (threadIdx.x < 64)
    __syncthreads();
  else
    __syncthreads();
  y[threadIdx.x] = 1;
}
TEST_F(Emulator, FindsADivergentBarrier) {
  const Buffer<float> y(128);
  expect_error([&] { HAZE_LAUNCH(divergent_barrier, stream(), 1, 128, 0, y.p); },
               "divergent barrier");
}

__global__ void early_return(float* y, int n) {
  if (int(threadIdx.x) >= n) return;
  y[threadIdx.x] = 1;
  __syncthreads();
}
TEST_F(Emulator, FindsAReturnBeforeABarrier) {
  const Buffer<float> y(128);
  expect_error([&] { HAZE_LAUNCH(early_return, stream(), 1, 128, 0, y.p, 100); }, "returned");
}

__global__ void different_trip_counts(float* y) {
  for (int i = 0; i < (threadIdx.x < 32 ? 3 : 4); ++i) __syncthreads();
  y[threadIdx.x] = 1;
}
TEST_F(Emulator, FindsLoopsWithDifferentNumbersOfBarriers) {
  const Buffer<float> y(64);
  expect_error([&] { HAZE_LAUNCH(different_trip_counts, stream(), 1, 64, 0, y.p); }, "returned");
}

__global__ void divergent_shuffle(float* y) {
  float v = float(threadIdx.x);
  if (threadIdx.x & 1)
    v += __shfl_xor_sync(~0u, v, 2);
  else
    v -= __shfl_xor_sync(~0u, v, 2);
  y[threadIdx.x] = v;
}
TEST_F(Emulator, FindsADivergentShuffle) {
  const Buffer<float> y(32);
  expect_error([&] { HAZE_LAUNCH(divergent_shuffle, stream(), 1, 32, 0, y.p); },
               "divergent warp collective");
}

__global__ void wrong_mask(float* y) {
  float v = float(threadIdx.x);
  if (threadIdx.x < 16) v = __shfl_xor_sync(0xff, v, 1);
  y[threadIdx.x] = v;
}
TEST_F(Emulator, FindsACallerOutsideItsMask) {
  const Buffer<float> y(32);
  expect_error([&] { HAZE_LAUNCH(wrong_mask, stream(), 1, 32, 0, y.p); }, "is not in the mask");
}

__global__ void absent_lane(float* y) {
  float v = float(threadIdx.x);
  if (threadIdx.x < 8) v = __shfl_sync(0xff, v, 12);
  y[threadIdx.x] = v;
}
TEST_F(Emulator, FindsAShuffleFromALaneThatDoesNotTakePart) {
  const Buffer<float> y(32);
  expect_error([&] { HAZE_LAUNCH(absent_lane, stream(), 1, 32, 0, y.p); }, "does not take part");
}

__global__ void deadlock(float* y) {
  ptx::barrier_sync(threadIdx.x < 32 ? 1 : 2, threadIdx.x < 32 ? 96 : 64);
  y[threadIdx.x] = 1;
}
TEST_F(Emulator, FindsADeadlock) {
  const Buffer<float> y(64);
  expect_error([&] { HAZE_LAUNCH(deadlock, stream(), 1, 64, 0, y.p); }, "deadlock");
}

__global__ void no_wait(float* y, const float* x) {
  HAZE_DYNAMIC_SHARED(float, s);
  ptx::cp_async16(s + threadIdx.x * 4, x + threadIdx.x * 4, 16);
  ptx::cp_async_commit();
  y[threadIdx.x] = s[threadIdx.x * 4];
}
TEST_F(Emulator, FindsACopyThatNobodyWaitsFor) {
  const Buffer<float> x(128), y(32);
  expect_error([&] { HAZE_LAUNCH(no_wait, stream(), 1, 32, 512, y.p, x.p); }, "under way");
}

__global__ void misaligned_copy(const float* x) {
  HAZE_DYNAMIC_SHARED(float, s);
  ptx::cp_async16(s, x + 1, 16);
}
TEST_F(Emulator, FindsAMisalignedCopy) {
  const Buffer<float> x(128);
  expect_error([&] { HAZE_LAUNCH(misaligned_copy, stream(), 1, 32, 512, x.p); }, "misaligned");
}

__global__ void misaligned_vector(float* y, int first, bool stores) {
  HAZE_SHARED(float[40], s);
  if (stores)
    kernels::store(s + first, kernels::Vec<float, 4>{1, 2, 3, 4});
  else
    y[threadIdx.x] = kernels::load<2>(s + first)[0];
}
TEST_F(Emulator, FindsAMisalignedVector) {
  const Buffer<float> y(32);
  HAZE_LAUNCH(misaligned_vector, stream(), 1, 1, 0, y.p, 4, true);
  HAZE_LAUNCH(misaligned_vector, stream(), 1, 1, 0, y.p, 2, false);
  expect_error([&] { HAZE_LAUNCH(misaligned_vector, stream(), 1, 1, 0, y.p, 2, true); },
               "a vector access of 16 bytes to a misaligned address");
  expect_error([&] { HAZE_LAUNCH(misaligned_vector, stream(), 1, 1, 0, y.p, 1, false); },
               "a vector access of 8 bytes to a misaligned address");
}

__global__ void misaligned_rows(std::uint32_t* y) {
  HAZE_SHARED(std::uint32_t[33 * 4], rows);
  std::uint32_t r[4];
  ptx::ldmatrix_x4(r, rows + threadIdx.x * 4 + (threadIdx.x == 9 ? 1 : 0));
  y[threadIdx.x] = r[0];
}
TEST_F(Emulator, FindsAMisalignedRowOfAMatrix) {
  const Buffer<std::uint32_t> y(32);
  expect_error([&] { HAZE_LAUNCH(misaligned_rows, stream(), 1, 32, 0, y.p); },
               "the row's address is not 16-byte aligned");
}

__global__ void large_shared(float* y) {
  HAZE_SHARED(float[13000], s);
  s[threadIdx.x] = 1;
  y[threadIdx.x] = s[threadIdx.x];
}
TEST_F(Emulator, HoldsTheLimitsOfTheHardware) {
  const Buffer<float> y(32);
  expect_error([&] { HAZE_LAUNCH(large_shared, stream(), 1, 32, 0, y.p); }, "at most 49152");
  expect_error([&] { HAZE_LAUNCH(coordinates, stream(), 1, 1025, 0, nullptr); },
               "1025x1x1 threads");
  expect_error([&] { HAZE_LAUNCH(coordinates, stream(), 0, 32, 0, nullptr); }, "grid of 0x1x1");
}

__global__ void both_kinds_of_shared(float* y) {
  HAZE_DYNAMIC_SHARED(float, dynamic);
  HAZE_SHARED(float[256], fixed);
  dynamic[threadIdx.x] = fixed[threadIdx.x] = 1;
  y[threadIdx.x] = dynamic[threadIdx.x] + fixed[threadIdx.x];
}
TEST_F(Emulator, StaticAndDynamicSharedMemoryTogetherHoldTheLimitThatIsSet) {
  const Buffer<float> y(32);
  for (const std::size_t kib : {99, 163, 227}) {
    simt::config().limits.shared = kib * 1024;
    const std::size_t most = kib * 1024 - 256 * sizeof(float);
    simt::config().schedule = {};
    simt::counters() = {};
    HAZE_LAUNCH(both_kinds_of_shared, stream(), 2, 32, most, y.p);
    EXPECT_EQ(y.read(), std::vector<float>(32, 2));
    EXPECT_EQ(simt::counters().most_shared, kib * 1024);
    EXPECT_STREQ(simt::counters().most_shared_by, "both_kinds_of_shared");
    expect_error([&] { HAZE_LAUNCH(both_kinds_of_shared, stream(), 2, 32, most + 4, y.p); },
                 cat(kib * 1024 + 4, " bytes of shared memory; at most ", kib * 1024));
  }
}

TEST_F(Emulator, ARehearsalRunsOneBlockOnceAndHoldsTheLimits) {
  simt::config().rehearsal = true;
  const Buffer<int> x(96 * 5), y(96 * 5);
  for (int i = 0; i < 2; ++i) {
    HAZE_LAUNCH(reverse_block, stream(), 5, 96, 0, x.p, y.p);
    cudaDeviceSynchronize();
  }
  EXPECT_EQ(y.read(), std::vector<int>(96 * 5, 0));  // nothing comes back
  simt::config().limits.shared = 96 * sizeof(int) - 1;
  expect_error([&] { HAZE_LAUNCH(reverse_block, stream(), 5, 96, 0, x.p, y.p); },
               "384 bytes of shared memory; at most 383");
}

// ---- streams
// ---------------------------------------------------------------------------------------
__global__ void add_one(int* x) { x[threadIdx.x] += 1; }
__global__ void times_two(int* x) { x[threadIdx.x] *= 2; }

TEST_F(Emulator, AForgottenDependencyBetweenStreamsShows) {
  cudaStream_t a, b;
  cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
  cudaEvent_t event;
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  for (const bool depends : {true, false}) {
    int different = 0;
    for (int seed = 1; seed <= 20; ++seed) {
      simt::config().schedule = {Order::random, std::uint64_t(seed), true};
      const Buffer<int> x(std::vector<int>(32, 3));
      HAZE_LAUNCH(add_one, CudaStream{a}, 1, 32, 0, x.p);
      cudaEventRecord(event, a);
      if (depends) cudaStreamWaitEvent(b, event, 0);
      HAZE_LAUNCH(times_two, CudaStream{b}, 1, 32, 0, x.p);
      cudaDeviceSynchronize();
      different += x.read() != std::vector<int>(32, 8);
    }
    EXPECT_EQ(different > 0, !depends) << different << " of 20 schedules";
  }
  cudaEventDestroy(event);
  cudaStreamDestroy(a);
  cudaStreamDestroy(b);
}

TEST_F(Emulator, AGraphReplaysWhatWasCaptured) {
  cudaStream_t s;
  cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
  const Buffer<int> x(std::vector<int>(32, 1));
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal);
  HAZE_LAUNCH(add_one, CudaStream{s}, 1, 32, 0, x.p);
  HAZE_LAUNCH(times_two, CudaStream{s}, 1, 32, 0, x.p);
  EXPECT_EQ(cudaStreamSynchronize(s), cudaErrorStreamCaptureUnsupported);
  cudaStreamEndCapture(s, &graph);
  EXPECT_EQ(x.read(), std::vector<int>(32, 1));  // capturing ran nothing
  cudaGraphInstantiate(&exec, graph, 0);
  for (int i = 0; i < 3; ++i) cudaGraphLaunch(exec, s);
  cudaStreamSynchronize(s);
  EXPECT_EQ(x.read(), std::vector<int>(32, 22));
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(s);
}

TEST_F(Emulator, RunsOutOfMemoryWithTheFigures) {
  const std::size_t before = simt::device_capacity();
  simt::device_capacity() = simt::device_bytes_in_use() + (10u << 20);
  try {
    kernels::allocate(CudaStream{}, 20u << 20);
    ADD_FAILURE() << "20 of 10 MiB were given";
  } catch (const RunError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("asked for 20 MiB, 10 of"));
  }
  simt::device_capacity() = before;
}

}  // namespace
}  // namespace haze
