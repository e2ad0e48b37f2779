// stream.h — where work runs. A backend is a specialisation of each kernel on the stream type,
// chosen once per op by std::visit. A backend that is missing is a link error naming the function.
#pragma once
#include <variant>

namespace haze {

/// Work runs at once on the calling thread, in OpenMP threads and oneDNN.
struct CpuStream {};

/// Work runs in order on a CUDA stream (a cudaStream_t; null is the default stream): on a GPU, or
/// in the host emulator, as the build chose.
struct CudaStream {
  void* handle = nullptr;
};

#if defined(HAZE_CUDA)
using Stream = std::variant<CpuStream, CudaStream>;
#else
using Stream = std::variant<CpuStream>;
#endif

}  // namespace haze
