// SPDX-License-Identifier: MIT
// races_test.cpp — the race detector is shown races and finds them, at the right lines, under every
// schedule; it is shown the same kernels without the mistake and finds nothing.
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/simt.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using simt::Mistake;
using test::DeviceBuffer;

const CudaStream kStream{};

/// Under several schedules the mistake must be found, at the marked lines: which of the two comes
/// first is the schedule's choice.
template <class F>
void expect_found(F run, Mistake mistake, const std::string& mark, const std::string& other_mark) {
  const std::string a = test::line_with(__FILE__, mark), b = test::line_with(__FILE__, other_mark);
  for (const simt::Schedule& s : simt::schedules(3)) {
    const auto trace = test::traced(run, s);
    const auto found = trace->findings();
    EXPECT_TRUE(std::ranges::any_of(found,
                                    [&](const simt::Finding& f) {
                                      return f.mistake == mistake && f.count > 0 &&
                                             ((f.where == a && f.earlier == b) ||
                                              (f.where == b && f.earlier == a));
                                    }))
        << s.str() << ": no " << simt::name_of(mistake) << " between " << a << " and " << b
        << " in\n"
        << trace->text();
  }
}
template <class F>
void expect_none(F run) {
  for (const simt::Schedule& s : simt::schedules(3)) {
    SCOPED_TRACE(s.str());
    test::expect_clean(*test::traced(run, s));
  }
}

// ---- shared memory: barriers of the block, of a warp, of a part of the block
enum class Between { nothing, shuffle, warp, named, block };

template <Between between>
__global__ void neighbour(const float* x, float* y, int step) {
  HAZE_SHARED(float[128], tile);
  for (int k = 0; k < 2; ++k) {
    tile[threadIdx.x] = x[threadIdx.x];  // neighbour: writes
    if (between == Between::shuffle) __shfl_xor_sync(~0u, 1, 1);
    if (between == Between::warp) __syncwarp();
    if (between == Between::named) ptx::barrier_sync(1 + int(threadIdx.x) / 64, 64);
    if (between == Between::block) __syncthreads();
    y[threadIdx.x] = tile[int(threadIdx.x) ^ step];  // neighbour: reads
    if (between == Between::warp) __syncwarp();
    if (between == Between::named) ptx::barrier_sync(1 + int(threadIdx.x) / 64, 64);
    if (between == Between::block) __syncthreads();
  }
}
template <Between between>
void run_neighbour(int step) {
  const DeviceBuffer<float> x(std::vector<float>(128, 1)), y(128);
  HAZE_LAUNCH(neighbour<between>, kStream, 1, 128, 0, x.p, y.p, step);
}
void expect_neighbours_race(void (*run)(int), int step) {
  expect_found([=] { run(step); }, Mistake::shared_race, "neighbour: writes", "neighbour: reads");
}

TEST(Races, AreFoundWhereThereIsNoBarrier) {
  for (const int step : {1, 32, 64}) expect_neighbours_race(run_neighbour<Between::nothing>, step);
}
TEST(Races, AShuffleOrdersNothing) { expect_neighbours_race(run_neighbour<Between::shuffle>, 1); }
TEST(Races, AWarpBarrierOrdersItsWarpAlone) {
  expect_none([] { run_neighbour<Between::warp>(1); });
  expect_neighbours_race(run_neighbour<Between::warp>, 32);
}
TEST(Races, ANamedBarrierOrdersItsThreadsAlone) {
  expect_none([] { run_neighbour<Between::named>(32); });
  expect_neighbours_race(run_neighbour<Between::named>, 64);
}
TEST(Races, ABlockBarrierOrdersEverybody) {
  for (const int step : {1, 32, 64}) expect_none([=] { run_neighbour<Between::block>(step); });
}

template <bool second>
__global__ void reused_tile(const float* x, float* y) {
  HAZE_SHARED(float[64], tile);
  for (int k = 0; k < 3; ++k) {
    tile[threadIdx.x] = x[threadIdx.x + unsigned(k)];  // reused: writes
    __syncthreads();
    y[threadIdx.x] = tile[63 - threadIdx.x];  // reused: reads
    if (second) __syncthreads();
  }
}
TEST(Races, ATileIsWrittenAgainBeforeAllHaveReadIt) {
  const auto run = [](auto* kernel) {
    const DeviceBuffer<float> x(std::vector<float>(66, 1)), y(64);
    HAZE_LAUNCH(kernel, kStream, 1, 64, 0, x.p, y.p);
  };
  expect_none([&] { run(reused_tile<true>); });
  expect_found([&] { run(reused_tile<false>); }, Mistake::shared_race, "reused: writes",
               "reused: reads");
}

/// Everybody reads one word, one lane of one warp writes it: the readers do not fit into a cell.
__global__ void one_word(float* y) {
  HAZE_SHARED(float[1], word);
  if (threadIdx.x == 0) word[0] = 1;
  __syncthreads();
  y[threadIdx.x] = word[0];  // one word: reads
  __syncwarp();
  if (threadIdx.x == 17) word[0] = 2;  // one word: writes
}
TEST(Races, ManyReadersOfOneWord) {
  const auto run = [] {
    const DeviceBuffer<float> y(256);
    HAZE_LAUNCH(one_word, kStream, 1, 256, 0, y.p);
  };
  const std::string a = test::line_with(__FILE__, "one word: reads");
  const auto found = test::traced(run)->findings();
  EXPECT_FALSE(found.empty());
  for (const simt::Finding& f : found)
    EXPECT_THAT((std::vector{f.where, f.earlier}), testing::Contains(a));
}

__global__ void bytes_of_a_word(const std::uint16_t* x, std::uint16_t* y, std::uint8_t* z) {
  y[threadIdx.x] = x[threadIdx.x];
  z[threadIdx.x] = std::uint8_t(x[threadIdx.x]);
}
TEST(Races, NeighbouringBytesAreNotOneWord) {
  expect_none([] {
    const DeviceBuffer<std::uint16_t> x(std::vector<std::uint16_t>(64, 1)), y(64);
    const DeviceBuffer<std::uint8_t> z(64);
    HAZE_LAUNCH(bytes_of_a_word, kStream, 1, 64, 0, x.p, y.p, z.p);
  });
}

// ---- asynchronous copies
template <int open, bool barrier>
__global__ void pipeline(const float4* x, float* y, int stages) {
  HAZE_SHARED(float4[3][64], stage);
  const int i = int(threadIdx.x);
  const auto fetch = [&](int k) {
    if (k < stages) ptx::cp_async16(&stage[k % 3][i], x + k * 64 + i, 16);  // copy: writes
    ptx::cp_async_commit();
  };
  fetch(0);
  fetch(1);
  float sum = 0;
  for (int k = 0; k < stages; ++k) {
    ptx::cp_async_wait<open>();
    if (barrier) __syncthreads();
    fetch(k + 2);
    sum += stage[k % 3][63 - threadIdx.x].x;  // copy: reads
  }
  ptx::cp_async_wait<0>();
  y[threadIdx.x] = sum;
}
TEST(Races, AsynchronousCopiesAreOrderedByWaitAndBarrier) {
  const auto run = [](auto* kernel) {
    const DeviceBuffer<float4> x(std::vector<float4>(64 * 6, float4{1, 2, 3, 4}));
    const DeviceBuffer<float> y(64);
    HAZE_LAUNCH(kernel, kStream, 1, 64, 0, x.p, y.p, 6);
  };
  expect_none([&] { run(pipeline<1, true>); });
  expect_none([&] { run(pipeline<0, true>); });
  const auto expect = [&](auto* kernel) {
    expect_found([&] { run(kernel); }, Mistake::shared_race, "copy: writes", "copy: reads");
  };
  expect(pipeline<2, true>);   // one group too many is left open
  expect(pipeline<1, false>);  // waited for one's own copies, not for the others'
}

// ---- device memory
template <bool barrier>
__global__ void through_memory(float* y, float* z) {
  y[threadIdx.x] = float(threadIdx.x);  // through memory: writes
  if (barrier) __syncthreads();
  z[threadIdx.x] = y[63 - threadIdx.x];  // through memory: reads
}
TEST(Races, WithinABlockOnDeviceMemory) {
  const auto run = [](auto* kernel) {
    const DeviceBuffer<float> y(64), z(64);
    HAZE_LAUNCH(kernel, kStream, 1, 64, 0, y.p, z.p);
  };
  expect_none([&] { run(through_memory<true>); });
  expect_found([&] { run(through_memory<false>); }, Mistake::global_race, "through memory: writes",
               "through memory: reads");
}

__global__ void halo(float* y) {
  const unsigned i = blockIdx.x * 31 + threadIdx.x;  // 32 threads: blocks share their ends
  y[i] = float(i);                                   // halo: writes
}
TEST(Races, TwoBlocksWriteTheSame) {
  expect_found(
      [] {
        const DeviceBuffer<float> y(31 * 4 + 1);
        HAZE_LAUNCH(halo, kStream, 4, 32, 0, y.p);
      },
      Mistake::race_between_blocks, "halo: writes", "halo: writes");
}
TEST(Races, OneLaunchAfterAnotherIsOrdered) {
  expect_none([] {
    const DeviceBuffer<float> y(32);
    for (int k = 0; k < 3; ++k) HAZE_LAUNCH(halo, kStream, 1, 32, 0, y.p);
  });
}

enum class Fence { none, by_all, by_one };
/// The block that comes last adds up what the others left.
template <Fence fence>
__global__ void last_block_sums(const float* x, float* partial, unsigned* counter, float* y) {
  HAZE_SHARED(bool[1], last);
  partial[blockIdx.x * 64 + threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];  // last block: writes
  if (fence == Fence::by_all) __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    if (fence == Fence::by_one) __threadfence();
    last[0] = atomicAdd(counter, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last[0]) return;
  float sum = 0;
  for (unsigned b = 0; b < gridDim.x; ++b)
    sum += partial[b * 64 + threadIdx.x];  // last block: reads
  y[threadIdx.x] = sum;
  if (threadIdx.x == 0) *counter = 0;
}
TEST(Races, TheLastBlockReadsWhatTheOthersFenced) {
  const auto run = [](auto* kernel) {
    const DeviceBuffer<float> x(std::vector<float>(64 * 5, 1)), partial(64 * 5), y(64);
    const DeviceBuffer<unsigned> counter(std::vector<unsigned>{0});
    HAZE_LAUNCH(kernel, kStream, 5, 64, 0, x.p, partial.p, counter.p, y.p);
    EXPECT_EQ(y.read(), std::vector<float>(64, 5));
  };
  expect_none([&] { run(last_block_sums<Fence::by_all>); });
  expect_none([&] { run(last_block_sums<Fence::by_one>); });
  expect_found([&] { run(last_block_sums<Fence::none>); }, Mistake::race_between_blocks,
               "last block: writes", "last block: reads");
}

__global__ void histogram(const int* x, int* y) {
  HAZE_SHARED(int[8], count);
  if (threadIdx.x < 8) count[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(&count[x[threadIdx.x]], 1);
  __syncthreads();
  if (threadIdx.x < 8) atomicAdd(&y[threadIdx.x], count[threadIdx.x]);
}
TEST(Races, AtomicsDoNotRaceWithEachOther) {
  expect_none([] {
    const DeviceBuffer<int> x(std::vector<int>(64, 3)), y(std::vector<int>(8, 0));
    HAZE_LAUNCH(histogram, kStream, 3, 64, 0, x.p, y.p);
  });
}

}  // namespace
}  // namespace haze
