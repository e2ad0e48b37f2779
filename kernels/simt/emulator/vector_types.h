// SPDX-License-Identifier: MIT
// vector_types.h — CUDA's built-in vector types for the host compiler, so that the emulator needs
// no CUDA header. Aligned as on the device: a misaligned vector access is undefined on both sides.
#pragma once
#include <cstdint>

#define HAZE_VECTOR2(T, name, alignment)              \
  struct [[gnu::may_alias]] alignas(alignment) name { \
    T x, y;                                           \
  };                                                  \
  inline name make_##name(T x, T y) { return {x, y}; }
#define HAZE_VECTOR3(T, name) \
  struct name {               \
    T x, y, z;                \
  };                          \
  inline name make_##name(T x, T y, T z) { return {x, y, z}; }
#define HAZE_VECTOR4(T, name, alignment)              \
  struct [[gnu::may_alias]] alignas(alignment) name { \
    T x, y, z, w;                                     \
  };                                                  \
  inline name make_##name(T x, T y, T z, T w) { return {x, y, z, w}; }

HAZE_VECTOR2(float, float2, 8)
HAZE_VECTOR2(double, double2, 16)
HAZE_VECTOR2(int, int2, 8)
HAZE_VECTOR2(unsigned, uint2, 8)
HAZE_VECTOR3(float, float3)
HAZE_VECTOR3(int, int3)
HAZE_VECTOR3(unsigned, uint3)
HAZE_VECTOR4(float, float4, 16)
HAZE_VECTOR4(int, int4, 16)
HAZE_VECTOR4(unsigned, uint4, 16)
HAZE_VECTOR4(unsigned char, uchar4, 4)
#undef HAZE_VECTOR2
#undef HAZE_VECTOR3
#undef HAZE_VECTOR4

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
