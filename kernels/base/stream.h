// SPDX-License-Identifier: MIT
// stream.h — where work runs. A backend is a specialisation of each kernel on the stream type,
// chosen once per op by std::visit. A backend that is missing is a link error naming the function.
#pragma once
#include <type_traits>
#include <variant>

namespace haze {

class Plan;

/// Work runs at once on the calling thread, in OpenMP threads and oneDNN.
struct CpuStream {
  Plan* plan = nullptr;  // where there is one, work is planned in place of done (plan.h)
};

/// Work runs in order on a CUDA stream (a cudaStream_t; null is the default stream): on a GPU, or
/// in the host emulator, as the build chose.
struct CudaStream {
  void* handle = nullptr;
  /// Convolutions and linear layers of f32 activations, and their gradients, round what they
  /// multiply to tf32 (10 bits of mantissa instead of 23; sums stay f32) to run on tensor cores.
  bool tf32 = false;
  Plan* plan = nullptr;
};

#if defined(HAZE_CUDA)
using Stream = std::variant<CpuStream, CudaStream>;
#else
using Stream = std::variant<CpuStream>;
#endif

/// This build has the CUDA backend.
inline constexpr bool kHasCuda = std::variant_size_v<Stream> > 1;

/// The CUDA stream that work runs on; null on the CPU.
inline const CudaStream* cuda_of(const Stream& stream) {
  return std::visit(
      [](const auto& s) -> const CudaStream* {
        if constexpr (std::is_same_v<decltype(s), const CudaStream&>) return &s;
        return nullptr;
      },
      stream);
}

/// The plan that work on the stream is put into; null where it is done.
inline Plan* plan_of(const Stream& stream) {
  return std::visit([](const auto& s) { return s.plan; }, stream);
}

/// The same stream, planning.
inline Stream planning(Stream stream, Plan& plan) {
  std::visit([&](auto& s) { s.plan = &plan; }, stream);
  return stream;
}

/// The switch `tf32` of a CUDA stream; null on the CPU, which has no such products.
inline bool* tf32_of(Stream& stream) {
  return std::visit(
      []([[maybe_unused]] auto& s) -> bool* {
        if constexpr (requires { s.tf32; }) return &s.tf32;
        return nullptr;
      },
      stream);
}

}  // namespace haze
