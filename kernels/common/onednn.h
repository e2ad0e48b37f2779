// onednn.h — the CPU backend's way to oneDNN: one engine, one stream, and a cache of primitives.
// Included by kernels' .cpp files only.
//
// Creating a primitive compiles code (milliseconds); running one costs microseconds. Each kernel
// therefore keeps its primitives by shape, for the life of the process.
#pragma once
#include <map>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>

#include "kernels/common/dtype.h"

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

/// Primitives of one kind by shape. Key is ordered by <=>; make(key) builds on first use.
template <class Key, class Value>
class Cache {
 public:
  template <class Make>
  Value& get(const Key& key, Make&& make) {
    const std::lock_guard lock(mutex_);
    if (const auto found = values_.find(key); found != values_.end()) return found->second;
    return values_.emplace(key, make(key)).first->second;
  }

 private:
  std::mutex mutex_;
  std::map<Key, Value> values_;
};

}  // namespace haze::kernels::onednn
