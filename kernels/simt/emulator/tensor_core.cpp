// SPDX-License-Identifier: MIT
// tensor_core.cpp — ldmatrix and mma.sync, from the fragment layouts in the PTX ISA (9.7.14).
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/simt/emulator/observer.h"
#include "kernels/simt/emulator/twins.h"

namespace haze::ptx::twin {
namespace {

constexpr std::uint32_t kAll = ~0u;

struct LoadArgument {
  std::uint32_t* r;
  const char* row;
  int matrices;
  bool transposed;
};

void load(void* const* lanes, std::uint32_t mask) {
  if (mask != kAll) simt::fail("ldmatrix with inactive lanes (active: %08x)", mask);
  const auto& first = *static_cast<LoadArgument*>(lanes[0]);
  for (int m = 0; m < first.matrices; ++m) {
    std::uint16_t matrix[8][8];
    for (int i = 0; i < 8; ++i)
      std::memcpy(matrix[i], static_cast<LoadArgument*>(lanes[m * 8 + i])->row, 16);
    for (int lane = 0; lane < 32; ++lane) {
      const int i = lane / 4, j = lane % 4 * 2;
      const std::uint16_t low = first.transposed ? matrix[j][i] : matrix[i][j];
      const std::uint16_t high = first.transposed ? matrix[j + 1][i] : matrix[i][j + 1];
      static_cast<LoadArgument*>(lanes[lane])->r[m] = low | std::uint32_t(high) << 16;
    }
  }
}

struct MmaArgument {
  float* c;
  const std::uint32_t *a, *b;
};

float low_bf16(std::uint32_t pair) { return std::bit_cast<float>(pair << 16); }
float high_bf16(std::uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); }
float tf32(std::uint32_t bits) {
  return std::bit_cast<float>(bits & ~0x1fffu);
}  // the rest is ignored

double cut(double x, int last_bit) {
  return std::ldexp(std::trunc(std::ldexp(x, -last_bit)), last_bit);
}

/// c + Σ a[k]·b[k] as tensor cores take it, by the numerical experiments of Fasi, Higham, Mikaitis
/// and Pranesh ("Numerical behavior of NVIDIA tensor cores", 2021): products are exact; c and
/// `terms` products at a time are aligned to the largest of them, cut off two bits behind an f32's
/// last, and added; the sum is cut off to an f32. Nothing is rounded to nearest.
float truncated_sum(float c, const float* a, const float (*b)[8], int j, int K, int terms) {
  for (int first = 0; first < K; first += terms) {
    const int n = std::min(terms, K - first);
    double part[17] = {c};
    double largest = std::abs(part[0]);
    for (int k = 0; k < n; ++k) {
      part[k + 1] = double(a[first + k]) * double(b[first + k][j]);
      largest = std::max(largest, std::abs(part[k + 1]));
    }
    double sum = 0;
    for (int k = 0; k <= n; ++k) sum += part[k];  // a NaN or an infinity stays one
    if (std::isfinite(sum) && largest > 0) {
      const int last = std::ilogb(largest) - 25;
      sum = 0;
      for (int k = 0; k <= n; ++k) sum += cut(part[k], last);
      if (sum != 0) sum = cut(sum, std::max(std::ilogb(sum) - 23, -149));
    }
    c = float(sum);
  }
  return c;
}

/// C += A B over the lanes' fragments; K columns of A.
template <int K, class Spread>
void multiply(void* const* lanes, std::uint32_t mask, Spread spread) {
  if (mask != kAll) simt::fail("mma with inactive lanes (active: %08x)", mask);
  alignas(64) float a[16][K], b[K][8], c[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& x = *static_cast<MmaArgument*>(lanes[lane]);
    const int g = lane / 4, t = lane % 4 * 2;
    spread(x, g, lane % 4, a, b);
    c[g][t] = x.c[0], c[g][t + 1] = x.c[1];
    c[g + 8][t] = x.c[2], c[g + 8][t + 1] = x.c[3];
  }
  if (const int terms = simt::config().truncated_terms; terms > 0) {
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) c[i][j] = truncated_sum(c[i][j], a[i], b, j, K, terms);
  } else {
    for (int i = 0; i < 16; ++i)
      for (int k = 0; k < K; ++k)
        for (int j = 0; j < 8; ++j) c[i][j] += a[i][k] * b[k][j];
  }
  for (int lane = 0; lane < 32; ++lane) {
    const auto& x = *static_cast<MmaArgument*>(lanes[lane]);
    const int g = lane / 4, t = lane % 4 * 2;
    x.c[0] = c[g][t], x.c[1] = c[g][t + 1];
    x.c[2] = c[g + 8][t], x.c[3] = c[g + 8][t + 1];
  }
  ++simt::counters().mma;
}

void multiply_bf16(void* const* lanes, std::uint32_t mask) {
  multiply<16>(lanes, mask, [](const MmaArgument& x, int g, int q, auto& a, auto& b) {
    const int t = 2 * q;
    for (int r = 0; r < 4; ++r) {
      const int i = g + r % 2 * 8, k = t + r / 2 * 8;
      a[i][k] = low_bf16(x.a[r]), a[i][k + 1] = high_bf16(x.a[r]);
    }
    for (int r = 0; r < 2; ++r)
      b[t + r * 8][g] = low_bf16(x.b[r]), b[t + r * 8 + 1][g] = high_bf16(x.b[r]);
  });
}

void multiply_tf32(void* const* lanes, std::uint32_t mask) {
  multiply<8>(lanes, mask, [](const MmaArgument& x, int g, int q, auto& a, auto& b) {
    for (int r = 0; r < 4; ++r) a[g + r % 2 * 8][q + r / 2 * 4] = tf32(x.a[r]);
    for (int r = 0; r < 2; ++r) b[q + r * 4][g] = tf32(x.b[r]);
  });
}

}  // namespace

void ldmatrix(std::uint32_t* r, int matrices, bool transposed, const void* row, const void* pc,
              Site s) {
  if (reinterpret_cast<std::uintptr_t>(row) & 15)
    simt::fail("ldmatrix at %s: the row's address is not 16-byte aligned",
               simt::text_of(s).c_str());
  if (!simt::is_shared(row))
    simt::fail("ldmatrix at %s: the row is not in shared memory", simt::text_of(s).c_str());
  if (simt::observer() && simt::current_thread().lane < matrices * 8)
    simt::observer()->matrix_row(row, pc);
  LoadArgument mine{r, static_cast<const char*>(row), matrices, transposed};
  simt::warp_collective(kAll, transposed ? "ldmatrix.trans" : "ldmatrix", s, &mine, load);
}

void mma(float* c, const std::uint32_t* a, const std::uint32_t* b, Numbers numbers, Site s) {
  MmaArgument mine{c, a, b};
  const bool half = numbers == Numbers::bf16;
  simt::warp_collective(kAll, half ? "mma.m16n8k16" : "mma.m16n8k8", s, &mine,
                        half ? multiply_bf16 : multiply_tf32);
}

}  // namespace haze::ptx::twin
