// SPDX-License-Identifier: MIT
// dtype.h — element types, and pointers that carry theirs.
//
// Activations are f32 or bf16, chosen per run. Master weights, gradients of weights, statistics and
// accumulators are always f32 and travel as plain float*. A kernel that takes activations takes
// Act/ConstAct/Grad and dispatches once on the type.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>

#include "kernels/base/check.h"
#include "kernels/base/host_device.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#endif

namespace haze {

enum class DType : std::uint8_t { f32, bf16, i32, u8 };

constexpr std::size_t size_of(DType t) {
  return t == DType::f32 || t == DType::i32 ? 4 : t == DType::bf16 ? 2 : 1;
}
constexpr const char* name_of(DType t) {
  return t == DType::f32 ? "f32" : t == DType::bf16 ? "bf16" : t == DType::i32 ? "i32" : "u8";
}

/// The upper half of a float. Converting from float rounds to nearest even; NaN stays NaN.
/// In a loop write `y[i] = f`, not `y[i] = T(f)`: GCC vectorises a stored number, but under
/// `omp simd` not a temporary of class type.
struct bf16 {
  std::uint16_t bits;
  bf16() = default;
  HAZE_HD explicit bf16(float f) : bits(round(f)) {}
  HAZE_HD bf16& operator=(float f) {
    bits = round(f);
    return *this;
  }
  HAZE_HD operator float() const { return std::bit_cast<float>(std::uint32_t(bits) << 16); }

 private:
  HAZE_HD static std::uint16_t round(float f) {
#if defined(__CUDA_ARCH__)  // one instruction
    return __bfloat16_as_ushort(__float2bfloat16_rn(f));
#else
    const auto u = std::bit_cast<std::uint32_t>(f);
    const std::uint32_t rounded = u + 0x7fffu + ((u >> 16) & 1u), quiet = u | 0x400000u;
    return std::uint16_t((f != f ? quiet : rounded) >> 16);
#endif
  }
};

template <class T>
constexpr DType dtype_of = DType::f32;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::u8;

namespace kernels {

/// Activations that a kernel reads. Null data means "not given" where a contract allows it.
struct ConstAct {
  const void* data = nullptr;
  DType dtype = DType::f32;
  explicit operator bool() const { return data != nullptr; }
  template <class T>
  const T* as() const {
    HAZE_CHECK(dtype == dtype_of<T>, "activations are ", name_of(dtype));
    return static_cast<const T*>(data);
  }
};

/// Activations that a kernel writes (overwrites, unless its contract says otherwise).
struct Act {
  void* data = nullptr;
  DType dtype = DType::f32;
  explicit operator bool() const { return data != nullptr; }
  operator ConstAct() const { return {data, dtype}; }
  template <class T>
  T* as() const {
    HAZE_CHECK(dtype == dtype_of<T>, "activations are ", name_of(dtype));
    return static_cast<T*>(data);
  }
};

/// How a gradient reaches its buffer: the first rule to reach it overwrites, later ones add.
enum class Write : std::uint8_t { overwrite, add };

/// Where a backward kernel delivers a gradient. Null data means "not wanted": skip the work.
struct Grad {
  void* data = nullptr;
  DType dtype = DType::f32;
  Write mode = Write::overwrite;
  explicit operator bool() const { return data != nullptr; }
  bool adds() const { return mode == Write::add; }
  template <class T>
  T* as() const {
    HAZE_CHECK(dtype == dtype_of<T>, "the gradient is ", name_of(dtype));
    return static_cast<T*>(data);
  }
};

/// Calls f(float{}) or f(bf16{}): the one switch on the type of activations.
template <class F>
void dispatch(DType t, F&& f) {
  HAZE_CHECK(t == DType::f32 || t == DType::bf16, "activations are f32 or bf16, got ", name_of(t));
  if (t == DType::f32) return f(float{});
  f(bf16(0.f));
}

}  // namespace kernels
}  // namespace haze
