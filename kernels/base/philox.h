// SPDX-License-Identifier: MIT
// philox.h — Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
// random numbers as a pure function of (seed, stream, step, item, element), the same bits on every
// backend. Nothing is stored and nothing depends on how a batch is split.
#pragma once
#include <cmath>
#include <cstdint>

#include "kernels/base/late.h"
#include "kernels/base/math.h"

namespace haze {

/// What the draws of one kernel call share. `stream` separates uses (engine/random.h lists them),
/// `step` is the training step or the diffusion time: where it lies on the device, each replay of a
/// captured CUDA graph draws anew.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  Late<std::uint32_t> step = {};
};

/// The key with its step read: once at the start of every kernel that draws.
HAZE_HD inline RandomKey resolved(const RandomKey& key) {
  return {key.seed, key.stream, {key.step.get()}};
}

struct Random4 {
  std::uint32_t v[4];
};

HAZE_HD inline Random4 philox4x32_10(Random4 counter, std::uint32_t key0, std::uint32_t key1) {
  std::uint32_t c0 = counter.v[0], c1 = counter.v[1], c2 = counter.v[2], c3 = counter.v[3];
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0, p1 = std::uint64_t{0xCD9E8D57u} * c2;
    const std::uint32_t n0 = std::uint32_t(p1 >> 32) ^ c1 ^ key0;
    const std::uint32_t n2 = std::uint32_t(p0 >> 32) ^ c3 ^ key1;
    c1 = std::uint32_t(p1);
    c3 = std::uint32_t(p0);
    c0 = n0;
    c2 = n2;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// Four draws of 32 bits: elements 4*block .. 4*block+3 of `item` (an image's index in the global
/// batch, or the id of a sampled image). The key is resolved.
HAZE_HD inline Random4 random4(const RandomKey& key, std::uint32_t item, std::uint32_t block) {
  return philox4x32_10({{block, item, key.step.value, key.stream}}, std::uint32_t(key.seed),
                       std::uint32_t(key.seed >> 32));
}

/// Uniform in (0, 1].
HAZE_HD inline float uniform_f32(std::uint32_t bits) {
  return std::fma(float(bits), 0x1p-32f, 0x1p-33f);
}

/// Two standard normals from two draws of 32 bits: Box-Muller.
HAZE_HD inline void normal_pair(std::uint32_t radius_bits, std::uint32_t angle_bits, float* a,
                                float* b) {
  const float radius = std::sqrt(-2.0f * log_unit_f32(uniform_f32(radius_bits)));
  float s, c;
  sincos_turn_f32(uniform_f32(angle_bits), &s, &c);
  *a = radius * c;
  *b = radius * s;
}

/// Standard normals of elements 4*block .. 4*block+3 of `item`.
HAZE_HD inline void normal4(const RandomKey& key, std::uint32_t item, std::uint32_t block,
                            float out[4]) {
  const Random4 r = random4(key, item, block);
  normal_pair(r.v[0], r.v[1], &out[0], &out[1]);
  normal_pair(r.v[2], r.v[3], &out[2], &out[3]);
}

/// Uniform integer in [0, n): the high half of bits·n.
HAZE_HD inline std::uint32_t below(std::uint32_t bits, std::uint32_t n) {
  return std::uint32_t((std::uint64_t(bits) * n) >> 32);
}

}  // namespace haze
