// SPDX-License-Identifier: MIT
// onednn.h — the CPU backend's way to oneDNN: one engine, one stream, a cache of primitives, and
// the few helpers that let one source serve oneDNN 2 and 3. Included by kernels' .cpp files only.
//
// Creating a primitive compiles code (milliseconds); running one costs microseconds. Each kernel
// therefore keeps its primitives by shape, for the life of the process.
#pragma once
#include <cstddef>
#include <map>
#include <mutex>
#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>
#include <sys/mman.h>
#include <unordered_map>
#include <utility>

#include "kernels/base/check.h"
#include "kernels/base/dtype.h"
#include "kernels/cpu/carver.h"
#include "kernels/cpu/loops.h"

namespace haze::kernels::onednn {

inline dnnl::engine& engine() {
  static dnnl::engine e(dnnl::engine::kind::cpu, 0);
  return e;
}
inline dnnl::stream& stream() {
  static dnnl::stream s(engine());
  return s;
}

inline dnnl::memory::data_type type_of(DType t) {
  return t == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

inline dnnl::memory wrap(const dnnl::memory::desc& desc, const void* data) {
  return dnnl::memory(desc, engine(), const_cast<void*>(data));
}

/// Attributes of a primitive whose scratchpad the caller provides (DNNL_ARG_SCRATCHPAD).
inline dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

/// What oneDNN has failed at, as an error of haze's: memory there is not is no fault of the CPU's.
[[noreturn]] inline void failed(const dnnl::error& e) {
  if (e.status == dnnl_out_of_memory) throw RunError("out of memory: oneDNN; lower the batch size");
  throw DeviceError(cat("oneDNN on this CPU: ", e.what(), "; f32 activations always work"));
}

/// Runs a primitive on these arguments, in the stream's order.
inline void execute(const dnnl::primitive& primitive,
                    const std::unordered_map<int, dnnl::memory>& arguments) {
  try {
    primitive.execute(stream(), arguments);
  } catch (const dnnl::error& e) {
    failed(e);
  }
}

/// RunError unless there is room for the code of a primitive, which is written without asking
/// whether there is: oneDNN ends the process where its buffers cannot be had.
inline void require_code_memory() {
  constexpr std::size_t kCode = std::size_t{16} << 20;  // of its kernels, 256 KiB each
  void* const room =
      ::mmap(nullptr, kCode, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED)
    throw RunError(cat("out of memory: asked for ", kCode >> 20, " MiB for oneDNN's code"));
  ::munmap(room, kCode);
}

/// Makes P's primitive descriptor of `args`, the arguments of the operation as oneDNN's C++
/// interface orders them. oneDNN 2 wraps them in an operation descriptor; oneDNN 3 has none.
/// Throws DeviceError where this CPU has no code for it (bf16 before AVX-512).
template <class P, class... Args>
typename P::primitive_desc describe(const dnnl::primitive_attr& attr, const Args&... args) try {
#if DNNL_VERSION_MAJOR >= 3
  return typename P::primitive_desc(engine(), args..., attr);
#else
  return typename P::primitive_desc(typename P::desc(args...), attr, engine());
#endif
} catch (const dnnl::error& e) {
  failed(e);
}

/// The same for a backward primitive: `hint` is the descriptor of its forward.
template <class P, class Hint, class... Args>
typename P::primitive_desc describe_backward(const dnnl::primitive_attr& attr, const Hint& hint,
                                             const Args&... args) try {
#if DNNL_VERSION_MAJOR >= 3
  return typename P::primitive_desc(engine(), args..., hint, attr);
#else
  return typename P::primitive_desc(typename P::desc(args...), attr, engine(), hint);
#endif
} catch (const dnnl::error& e) {
  failed(e);
}

/// Whether there is code on this CPU for what describe() describes.
template <class F>
bool has_code(F&& describe) {
  try {
    describe();
    return true;
  } catch (const DeviceError&) {
    return false;
  }
}

/// n bf16 numbers as f32 at `place`; where that is null, no conversion is needed and they stay.
inline const void* widened(std::size_t n, const void* from, void* place) {
  if (!place) return from;
  loops::deliver(n, static_cast<const bf16*>(from), static_cast<float*>(place), false);
  return place;
}

/// A copy between two layouts or types; with `adds`, to += from.
inline dnnl::reorder reorder(const dnnl::memory::desc& from, const dnnl::memory::desc& to,
                             bool adds = false) {
  dnnl::primitive_attr attr;
  if (adds) {
    dnnl::post_ops sum;
    sum.append_sum(1.f);
    attr.set_post_ops(sum);
  }
  return dnnl::reorder(dnnl::reorder::primitive_desc(engine(), from, engine(), to, attr));
}

/// Primitives of one kind by shape and number of threads, which a primitive's plan depends on. Key
/// is ordered by <=>; make(key) builds on first use.
template <class Key, class Value>
class Cache {
 public:
  template <class Make>
  Value& get(const Key& key, Make&& make) {
    const std::lock_guard lock(mutex_);
    const auto full = std::pair(omp_get_max_threads(), key);
    if (const auto found = values_.find(full); found != values_.end()) return found->second;
    require_code_memory();
    try {
      return values_.emplace(full, make(key)).first->second;
    } catch (const dnnl::error& e) {
      failed(e);
    }
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<int, Key>, Value> values_;
};

}  // namespace haze::kernels::onednn
