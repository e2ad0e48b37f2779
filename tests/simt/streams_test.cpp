// SPDX-License-Identifier: MIT
// streams_test.cpp — what the host side orders by events is in order whatever the schedule of the
// streams: batches sent beside the stream's own work arrive whole and in their turn, and a measured
// time is that of work which is done.
#include <chrono>
#include <cstring>
#include <thread>

#include "kernels/cuda/runtime_api.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/memory.h"
#include "kernels/runtime/prefetch.h"
#include "kernels/runtime/timer.h"
#include "kernels/simt/emulator/device_memory.h"
#include "kernels/simt/emulator/emulator.h"
#include "kernels/simt/emulator/stream_queue.h"
#include "tests/support/test.h"

namespace haze {
namespace {

constexpr std::size_t kBytes = 1000;
constexpr int kBatches = 7;

struct Streams : testing::Test {
  const simt::Config before = simt::config();
  const CudaStream stream = std::get<CudaStream>(kernels::open_cuda(0));
  ~Streams() override { simt::config() = before; }

  static void send(kernels::Prefetch& prefetch, int value) {
    std::memset(prefetch.buffer(), value, kBytes);
    prefetch.send();
  }
  /// What `use(prefetch, k, to)` left on the device, for each k; read only at the very end.
  template <class F>
  std::vector<std::vector<std::uint8_t>> batches(F use) const {
    std::vector<std::vector<std::uint8_t>> got(kBatches, std::vector<std::uint8_t>(kBytes));
    auto* on_device = static_cast<std::uint8_t*>(kernels::allocate(stream, kBatches * kBytes));
    {
      kernels::Prefetch prefetch(stream, kBytes);
      for (int k = 0; k < kBatches; ++k) use(prefetch, k, on_device + std::size_t(k) * kBytes);
      for (int k = 0; k < kBatches; ++k)
        kernels::copy_out(stream, got[std::size_t(k)].data(), on_device + std::size_t(k) * kBytes,
                          kBytes);
    }
    kernels::release(stream, on_device);
    return got;
  }
};

std::vector<simt::Schedule> deferred() {
  std::vector<simt::Schedule> all = simt::schedules(10);
  all.push_back({simt::Order::forward, 1, true});
  return all;
}

TEST_F(Streams, EveryBatchArrivesInItsTurn) {
  for (const simt::Schedule& schedule : deferred()) {
    simt::config().schedule = schedule;
    // Sent one batch ahead, as training does, but nothing waits: three batches are under way.
    const auto got = batches([](kernels::Prefetch& prefetch, int k, void* to) {
      if (k == 0) send(prefetch, 1);
      prefetch.take(to);
      send(prefetch, k + 2);
    });
    for (int k = 0; k < kBatches; ++k)
      EXPECT_EQ(got[std::size_t(k)], std::vector<std::uint8_t>(kBytes, std::uint8_t(k + 1)))
          << "batch " << k << ", " << schedule.str();
  }
}

TEST_F(Streams, ABatchThatIsNotWantedGivesWayToTheNextAndOneMayBeTakenTwice) {
  for (const simt::Schedule& schedule : deferred()) {
    simt::config().schedule = schedule;
    const auto got = batches([](kernels::Prefetch& prefetch, int k, void* to) {
      if (k % 2 == 0) {
        send(prefetch, 100);
        send(prefetch, 100);
        send(prefetch, k + 1);
      }
      prefetch.take(to);
    });
    for (int k = 0; k < kBatches; ++k)
      EXPECT_EQ(got[std::size_t(k)], std::vector<std::uint8_t>(kBytes, std::uint8_t(k / 2 * 2 + 1)))
          << "batch " << k << ", " << schedule.str();
  }
}

TEST_F(Streams, ItsMemoryIsGivenBackAlsoWithCopiesUnderWay) {
  const std::size_t used = simt::device_bytes_in_use();
  simt::config().schedule = {simt::Order::forward, 1, true};
  {
    kernels::Prefetch prefetch(stream, kBytes);
    EXPECT_EQ(simt::device_bytes_in_use(), used + kBytes);
    send(prefetch, 1);
    send(prefetch, 2);
  }
  EXPECT_EQ(simt::device_bytes_in_use(), used);
}

TEST_F(Streams, ATimeIsThatOfWorkThatIsDone) {
  simt::config().schedule = {simt::Order::forward, 1, true};
  auto* x = static_cast<char*>(kernels::allocate(stream, 64));
  EXPECT_GE(kernels::time_milliseconds(stream, 3, [&] { kernels::zero(stream, x, 64); }), 0);
  kernels::release(stream, x);
}

TEST_F(Streams, AHotTimeIsThatOfTheGraphsSecondLaunchBehindAFill) {
  constexpr int kTimes = 3;
  constexpr std::chrono::milliseconds kFirst(500);
  for (const bool deferred : {false, true}) {
    simt::config().schedule = {simt::Order::forward, 1, deferred};
    const std::size_t used = simt::device_bytes_in_use();
    int runs = 0;
    const double time = kernels::time_milliseconds(stream, kTimes, [&] {
      ASSERT_EQ(simt::enqueue(handle_of(stream),
                              [&] {
                                EXPECT_EQ(simt::device_bytes_in_use(),
                                          used + 4 * kernels::cuda_device_info().l2_bytes);
                                if (runs++ == 0 && deferred) std::this_thread::sleep_for(kFirst);
                              }),
                cudaSuccess);
    });
    EXPECT_EQ(runs, 2 * kTimes);
    EXPECT_GE(time, 0);
    EXPECT_LT(time, kFirst.count());
    EXPECT_EQ(simt::device_bytes_in_use(), used);
  }
}

TEST_F(Streams, AColdTimeIsThatOfOneCallAndGivesItsMemoryBack) {
  simt::config().schedule = {simt::Order::forward, 1, true};
  const std::size_t used = simt::device_bytes_in_use();
  {
    kernels::ColdTimer<CudaStream> timer(stream);
    EXPECT_EQ(simt::device_bytes_in_use(), used + 4 * kernels::cuda_device_info().l2_bytes);
    int calls = 0;
    EXPECT_GE(timer.milliseconds([&] { ++calls; }), 0);
    EXPECT_EQ(calls, 1);
  }
  EXPECT_EQ(simt::device_bytes_in_use(), used);
}

}  // namespace
}  // namespace haze
