// SPDX-License-Identifier: MIT
// streams.cpp — streams, events and graphs of the emulated run time.
//
// A stream is a queue. Unless the schedule defers, work runs when it is enqueued. Deferred, it runs
// when the host synchronises, and among the streams that events allow to run the oldest goes first
// (forward), the newest (reverse) or one drawn from the schedule's seed (random): a dependency that
// was forgotten shows as a wrong result.
#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/simt/emulator/device_memory.h"
#include "kernels/simt/emulator/launch.h"
#include "kernels/simt/emulator/runtime_call.h"
#include "kernels/simt/emulator/stream_queue.h"

struct haze_cuda_event {
  std::uint64_t recorded = 0,
                reached = 0;  // how often cudaEventRecord was enqueued, and carried out
  std::chrono::steady_clock::time_point time;
};

namespace haze::simt {
namespace {

struct Item {
  std::function<void()> run = {};
  haze_cuda_event* awaits = nullptr;  // runs nothing before `awaits` has reached `count`
  std::uint64_t count = 0;
  haze_cuda_event* records = nullptr;
};

}  // namespace
}  // namespace haze::simt

struct haze_cuda_graph {
  std::vector<haze::simt::Item> items;
};
struct haze_cuda_stream {
  std::deque<haze::simt::Item> queue;
  std::unique_ptr<haze_cuda_graph> capture;
};

namespace haze::simt {
namespace {

haze_cuda_stream& default_stream() {
  static haze_cuda_stream one;
  return one;
}
std::vector<haze_cuda_stream*>& streams() {
  static std::vector<haze_cuda_stream*> all{&default_stream()};
  return all;
}
haze_cuda_stream& stream_of(cudaStream_t s) { return s ? *s : default_stream(); }

bool can_run(const haze_cuda_stream& s) {
  return !s.queue.empty() &&
         (!s.queue.front().awaits || s.queue.front().awaits->reached >= s.queue.front().count);
}
void reach(haze_cuda_event& event) {
  ++event.reached;
  event.time = std::chrono::steady_clock::now();
}
void run_front(haze_cuda_stream& s) {
  const Item item = std::move(s.queue.front());
  s.queue.pop_front();
  if (item.run) item.run();
  if (item.records) reach(*item.records);
}
/// Drops what is queued when a kernel fails, so that the
/// error is reported once; its events count as reached.
void drop_all() {
  for (auto* s : streams()) {
    for (const Item& item : s->queue)
      if (item.records) reach(*item.records);
    s->queue.clear();
  }
}

/// Runs streams until `done`.
template <class Done>
void drain(Done done) {
  static std::uint64_t bits = 1;
  try {
    while (!done()) {
      std::vector<haze_cuda_stream*> able;
      for (auto* s : streams())
        if (can_run(*s)) able.push_back(s);
      if (able.empty()) throw Error("streams wait for events that nobody will record");
      bits = bits * 6364136223846793005u + config().schedule.seed * 2 + 1;
      const Order order = config().schedule.order;
      run_front(*able[order == Order::forward   ? 0
                      : order == Order::reverse ? able.size() - 1
                                                : (bits >> 33) % able.size()]);
    }
  } catch (...) {
    drop_all();
    throw;
  }
}

cudaError_t push(cudaStream_t stream, Item item) {
  haze_cuda_stream& s = stream_of(stream);
  if (s.capture) {
    s.capture->items.push_back(std::move(item));
    return cudaSuccess;
  }
  s.queue.push_back(std::move(item));
  if (!config().schedule.deferred) drain([&] { return s.queue.empty() || !can_run(s); });
  return cudaSuccess;
}

}  // namespace

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  return push(stream, {std::move(work)});
}

cudaError_t enqueue_launch(void* stream, Launch launch) {
  return runtime_call("cudaLaunchKernel", [&] {
    return enqueue(static_cast<cudaStream_t>(stream), [launch = std::move(launch)] {
      const DeviceMemoryOpen open;
      run_grid(launch);
    });
  });
}

bool capturing() {
  return std::ranges::any_of(streams(), [](const auto* s) { return s->capture != nullptr; });
}
bool captures(cudaStream_t stream) { return stream_of(stream).capture != nullptr; }

}  // namespace haze::simt

using namespace haze::simt;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return runtime_call(__func__, [&] {
    *stream = new haze_cuda_stream;
    streams().push_back(*stream);
    return cudaSuccess;
  });
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return runtime_call(__func__, [&] {
    drain([&] { return stream->queue.empty(); });
    std::erase(streams(), stream);
    delete stream;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return runtime_call(__func__, [&] {
    if (capturing()) return cudaErrorStreamCaptureUnsupported;
    drain([&] { return stream_of(stream).queue.empty(); });
    close_device_memory();
    return cudaSuccess;
  });
}
cudaError_t cudaDeviceSynchronize() {
  return runtime_call(__func__, [&] {
    if (capturing()) return cudaErrorStreamCaptureUnsupported;
    drain([] { return std::ranges::all_of(streams(), [](auto* s) { return s->queue.empty(); }); });
    close_device_memory();
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return runtime_call(__func__, [&] {
    *event = new haze_cuda_event;
    return cudaSuccess;
  });
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return runtime_call(__func__, [&] {
    drain([&] { return event->reached == event->recorded; });
    delete event;
    return cudaSuccess;
  });
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return runtime_call(__func__, [&] {
    ++event->recorded;
    return push(stream, {.records = event});
  });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return runtime_call(__func__,
                      [&] { return push(stream, {.awaits = event, .count = event->recorded}); });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return runtime_call(__func__, [&] {
    if (capturing()) return cudaErrorStreamCaptureUnsupported;
    drain([&] { return event->reached == event->recorded; });
    return cudaSuccess;
  });
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  return runtime_call(__func__, [&] {
    if (from->reached == 0 || to->reached == 0) return cudaErrorInvalidResourceHandle;
    *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
    return cudaSuccess;
  });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  return runtime_call(__func__, [&] {
    if (!stream || stream->capture) return cudaErrorStreamCaptureUnsupported;
    stream->capture = std::make_unique<haze_cuda_graph>();
    return cudaSuccess;
  });
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return runtime_call(__func__, [&] {
    *status = captures(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!stream || !stream->capture)
    return runtime_call(__func__, [] { return cudaErrorInvalidValue; });
  auto captured = std::move(stream->capture);  // the capture ends also when this fails
  return runtime_call(__func__, [&] {
    *graph = captured.release();
    return cudaSuccess;
  });
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return runtime_call(__func__, [&] {
    *exec = new haze_cuda_graph(*graph);
    return cudaSuccess;
  });
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  return runtime_call(__func__, [&] {
    for (const Item& item : exec->items)
      if (const cudaError_t e = push(stream, item); e != cudaSuccess) return e;
    return cudaSuccess;
  });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return runtime_call(__func__, [&] {
    delete exec;
    return cudaSuccess;
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return runtime_call(__func__, [&] {
    delete graph;
    return cudaSuccess;
  });
}
