// SPDX-License-Identifier: MIT
#include "engine/files/xxh3.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace haze::engine {
namespace {

using u8 = std::uint8_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr u64 kPrime32_1 = 0x9E3779B1u, kPrime32_2 = 0x85EBCA77u, kPrime32_3 = 0xC2B2AE3Du;
constexpr u64 kPrime64_1 = 0x9E3779B185EBCA87u, kPrime64_2 = 0xC2B2AE3D27D4EB4Fu,
              kPrime64_3 = 0x165667B19E3779F9u, kPrime64_4 = 0x85EBCA77C2B2AE63u,
              kPrime64_5 = 0x27D4EB2F165667C5u;
constexpr u64 kMix1 = 0x165667919E3779F9u, kMix2 = 0x9FB21C651E98DF25u;

// clang-format off
constexpr u8 kSecret[192] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e};
// clang-format on

struct Hash128 {
  u64 low, high;
};

u64 read64(const u8* p) {
  u64 v;
  std::memcpy(&v, p, 8);
  return v;
}
u32 read32(const u8* p) {
  u32 v;
  std::memcpy(&v, p, 4);
  return v;
}
u64 secret(std::size_t at) { return read64(kSecret + at); }
u64 shift(u64 v, int bits) { return v ^ (v >> bits); }
u64 swapped(u64 v) { return __builtin_bswap64(v); }

Hash128 multiply(u64 a, u64 b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return {u64(product), u64(product >> 64)};
}
u64 fold(u64 a, u64 b) {
  const Hash128 product = multiply(a, b);
  return product.low ^ product.high;
}
u64 avalanche64(u64 h) {  // XXH64's
  h = shift(h, 33) * kPrime64_2;
  h = shift(h, 29) * kPrime64_3;
  return shift(h, 32);
}
u64 avalanche(u64 h) { return shift(shift(h, 37) * kMix1, 32); }

Hash128 up_to_3(const u8* p, std::size_t n) {
  const u32 low = u32(p[0]) << 16 | u32(p[n >> 1]) << 24 | u32(p[n - 1]) | u32(n) << 8;
  const u32 high = std::rotl(__builtin_bswap32(low), 13);
  return {avalanche64(low ^ (read32(kSecret) ^ read32(kSecret + 4))),
          avalanche64(high ^ (read32(kSecret + 8) ^ read32(kSecret + 12)))};
}

Hash128 up_to_8(const u8* p, std::size_t n) {
  const u64 keyed = (read32(p) + (u64(read32(p + n - 4)) << 32)) ^ (secret(16) ^ secret(24));
  Hash128 h = multiply(keyed, kPrime64_1 + (u64(n) << 2));
  h.high += h.low << 1;
  h.low ^= h.high >> 3;
  h.low = shift(shift(h.low, 35) * kMix2, 28);
  return {h.low, avalanche(h.high)};
}

Hash128 up_to_16(const u8* p, std::size_t n) {
  u64 high = read64(p + n - 8);
  const u64 low = read64(p) ^ high ^ (secret(32) ^ secret(40));
  Hash128 m = multiply(low, kPrime64_1);
  m.low += u64(n - 1) << 54;
  high ^= secret(48) ^ secret(56);
  m.high += high + u64(u32(high)) * (kPrime32_2 - 1);
  m.low ^= swapped(m.high);
  Hash128 h = multiply(m.low, kPrime64_2);
  h.high += m.high * kPrime64_2;
  return {avalanche(h.low), avalanche(h.high)};
}

u64 mix16(const u8* p, std::size_t key) {
  return fold(read64(p) ^ secret(key), read64(p + 8) ^ secret(key + 8));
}
void mix32(Hash128& acc, const u8* a, const u8* b, std::size_t key) {
  acc.low = (acc.low + mix16(a, key)) ^ (read64(b) + read64(b + 8));
  acc.high = (acc.high + mix16(b, key + 16)) ^ (read64(a) + read64(a + 8));
}
Hash128 finish_mid(const Hash128& acc, std::size_t n) {
  return {avalanche(acc.low + acc.high),
          0 - avalanche(acc.low * kPrime64_1 + acc.high * kPrime64_4 + u64(n) * kPrime64_2)};
}

Hash128 up_to_128(const u8* p, std::size_t n) {
  Hash128 acc{n * kPrime64_1, 0};
  for (std::size_t i = (n - 1) / 32 + 1; i-- > 0;)
    mix32(acc, p + 16 * i, p + n - 16 * (i + 1), 32 * i);
  return finish_mid(acc, n);
}

Hash128 up_to_240(const u8* p, std::size_t n) {
  Hash128 acc{n * kPrime64_1, 0};
  for (std::size_t i = 0; i < 4; ++i) mix32(acc, p + 32 * i, p + 32 * i + 16, 32 * i);
  acc = {avalanche(acc.low), avalanche(acc.high)};
  for (std::size_t i = 4; i < n / 32; ++i)
    mix32(acc, p + 32 * i, p + 32 * i + 16, 3 + 32 * (i - 4));
  mix32(acc, p + n - 16, p + n - 32, 136 - 17 - 16);
  return finish_mid(acc, n);
}

constexpr std::size_t kStripe = 64, kStripesPerBlock = (sizeof kSecret - kStripe) / 8;

void accumulate(u64* acc, const u8* p, const u8* key) {
  for (std::size_t i = 0; i < 8; ++i) {
    const u64 value = read64(p + 8 * i), keyed = value ^ read64(key + 8 * i);
    acc[i ^ 1] += value;
    acc[i] += u64(u32(keyed)) * (keyed >> 32);
  }
}

u64 merge(const u64* acc, std::size_t key, u64 start) {
  for (std::size_t i = 0; i < 4; ++i)
    start += fold(acc[2 * i] ^ secret(key + 16 * i), acc[2 * i + 1] ^ secret(key + 16 * i + 8));
  return avalanche(start);
}

Hash128 longer(const u8* p, std::size_t n) {
  u64 acc[8] = {kPrime32_3, kPrime64_1, kPrime64_2, kPrime64_3,
                kPrime64_4, kPrime32_2, kPrime64_5, kPrime32_1};
  constexpr std::size_t block = kStripe * kStripesPerBlock;
  const std::size_t blocks = (n - 1) / block;
  for (std::size_t b = 0; b < blocks; ++b) {
    for (std::size_t s = 0; s < kStripesPerBlock; ++s)
      accumulate(acc, p + b * block + s * kStripe, kSecret + 8 * s);
    for (std::size_t i = 0; i < 8; ++i)
      acc[i] = (shift(acc[i], 47) ^ secret(sizeof kSecret - kStripe + 8 * i)) * kPrime32_1;
  }
  const std::size_t stripes = (n - 1 - blocks * block) / kStripe;
  for (std::size_t s = 0; s < stripes; ++s)
    accumulate(acc, p + blocks * block + s * kStripe, kSecret + 8 * s);
  accumulate(acc, p + n - kStripe, kSecret + sizeof kSecret - kStripe - 7);
  return {merge(acc, 11, n * kPrime64_1), merge(acc, sizeof kSecret - 64 - 11, ~(n * kPrime64_2))};
}

Hash128 hash(const u8* p, std::size_t n) {
  if (n > 240) return longer(p, n);
  if (n > 128) return up_to_240(p, n);
  if (n > 16) return up_to_128(p, n);
  if (n > 8) return up_to_16(p, n);
  if (n >= 4) return up_to_8(p, n);
  if (n > 0) return up_to_3(p, n);
  return {avalanche64(secret(64) ^ secret(72)), avalanche64(secret(80) ^ secret(88))};
}

}  // namespace

std::string xxh3_128(const void* data, std::size_t bytes) {
  const Hash128 h = hash(static_cast<const u8*>(data), bytes);
  std::string text(32, '0');
  for (int i = 0; i < 16; ++i) {
    text[std::size_t(15 - i)] = "0123456789abcdef"[(h.high >> (4 * i)) & 15];
    text[std::size_t(31 - i)] = "0123456789abcdef"[(h.low >> (4 * i)) & 15];
  }
  return text;
}

}  // namespace haze::engine
