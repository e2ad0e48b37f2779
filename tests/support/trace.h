// SPDX-License-Identifier: MIT
// trace.h — what tests of traced kernels share: device buffers, a run under the tracer, and the
// number of a line that carries a mark.
#pragma once
#include <fstream>

#include "kernels/runtime/memory.h"
#include "kernels/simt/emulator/emulator.h"
#include "kernels/simt/emulator/runtime.h"
#include "kernels/simt/trace/trace.h"
#include "tests/support/paths.h"
#include "tests/support/test.h"

namespace haze::test {

/// Device memory, allocated under the tracer that is on: unwritten, or filled from the host.
template <class T>
struct DeviceBuffer {
  explicit DeviceBuffer(std::size_t n)
      : n(n), p(static_cast<T*>(kernels::allocate(CudaStream{}, n * sizeof(T)))) {}
  explicit DeviceBuffer(const std::vector<T>& v) : DeviceBuffer(v.size()) {
    kernels::copy_in(CudaStream{}, p, v.data(), n * sizeof(T));
    cudaStreamSynchronize(nullptr);
  }
  ~DeviceBuffer() { kernels::release(CudaStream{}, p); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  std::size_t bytes() const { return n * sizeof(T); }
  kernels::Act act() const { return {p, dtype_of<T>}; }
  kernels::Grad grad(kernels::Write mode = kernels::Write::overwrite) const {
    return {p, dtype_of<T>, mode};
  }
  std::vector<T> read() const {
    std::vector<T> v(n);
    kernels::copy_out(CudaStream{}, v.data(), p, bytes());
    return v;
  }
  std::size_t n;
  T* p;
};

/// Small numbers that bf16 holds exactly.
template <class T>
std::vector<T> numbers(std::size_t n) {
  std::vector<T> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = float(i * 7 % 13) / 8 - 0.75f;
  return v;
}

/// Runs f under a new trace and under a schedule, to the end.
template <class F>
std::unique_ptr<simt::Trace> traced(F&& f, simt::Schedule schedule = {}) {
  const simt::Config before = simt::config();
  simt::config().schedule = schedule;
  auto trace = std::make_unique<simt::Trace>();
  {
    const simt::Tracing on(*trace);
    f();
    cudaDeviceSynchronize();
  }
  simt::config() = before;
  return trace;
}

inline void expect_clean(const simt::Trace& trace) {
  for (const simt::Finding& f : trace.findings())
    ADD_FAILURE() << simt::name_of(f.mistake) << " in " << f.kernel << " at " << f.where << ": "
                  << f.text;
}

/// How often all of a buffer is read and written.
struct Times {
  std::uint64_t read = 0, written = 0;
};
/// Exactly so often, and every byte of it.
inline void expect_traffic(const simt::Trace& trace, const void* p, Times times) {
  const simt::BufferTraffic b = trace.buffer(p);
  EXPECT_EQ(b.read.requested, times.read * b.bytes) << trace.text();
  EXPECT_EQ(b.written.requested, times.written * b.bytes) << trace.text();
  EXPECT_EQ(b.read.unique, times.read ? b.bytes : 0) << trace.text();
  EXPECT_EQ(b.written.unique, times.written ? b.bytes : 0) << trace.text();
}

/// "file.cpp:17": the first line of `file` (__FILE__, in tests/trace) that ends in "// " + mark.
inline std::string line_with(std::string file, const std::string& mark) {
  file = source_dir() + "/tests/trace" + file.substr(file.rfind('/'));
  std::ifstream in(file);
  std::string line;
  for (int n = 1; std::getline(in, line); ++n)
    if (line.ends_with("// " + mark))
      return file.substr(file.rfind('/') + 1) + ":" + std::to_string(n);
  return "no line of " + file + " is marked " + mark;
}

}  // namespace haze::test
