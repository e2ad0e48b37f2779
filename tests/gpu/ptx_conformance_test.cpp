// SPDX-License-Identifier: MIT
// ptx_conformance_test.cpp — every PTX wrapper on the CUDA backend against its host twin. On a GPU
// this confirms the assembly; under the emulator, where both are the twin, that the test runs.
#include <cstring>

#include "tests/gpu/ptx_cases.h"
#include "tests/support/test.h"

namespace haze::test {
namespace {

using Words = std::vector<std::uint32_t>;

Words input(const PtxCase& at, unsigned seed) {
  std::mt19937 gen(seed);
  std::normal_distribution<float> normal;
  Words words(kPtxWords);
  for (std::uint32_t& w : words) {
    const auto a = std::bit_cast<std::uint32_t>(normal(gen));
    const auto b = std::bit_cast<std::uint32_t>(normal(gen));
    if (at.input == PtxCase::bits) w = std::uint32_t(gen());
    if (at.input == PtxCase::floats) w = a;
    if (at.input == PtxCase::bf16_pairs) w = (a >> 16) | (b & 0xffff0000u);
  }
  if (std::strncmp(at.name, "mma.m16n8k8", 11) == 0)  // tf32 operands are rounded by the caller
    for (std::size_t i = 0; i < words.size(); ++i)
      if (i % 10 < 6) words[i] &= ~0x1fffu;
  return words;
}

/// On the host: the kernel's text as the emulator compiles it, its memory the host's own.
Words by_twin(const PtxCase& at, const Words& in) {
  Words out(kPtxWords, 0);
  simt::run_grid(
      {at.name, dim3(1), dim3(unsigned(at.threads)), 0, [&] { at.kernel(in.data(), out.data()); }});
  return out;
}

TEST(Ptx, WrappersMeanWhatTheirTwinsMean) {
  for (int index = 0; index < kPtxCaseCount; ++index)
    for (unsigned seed = 1; seed <= 20; ++seed) {
      const PtxCase& at = kPtxCases[index];
      const Words in = input(at, seed), want = by_twin(at, in);
      Words got(kPtxWords);
      run_ptx_case(index, in.data(), got.data());
      for (std::size_t i = 0; i < want.size(); ++i) {
        if (at.tolerance == 0) {
          ASSERT_EQ(got[i], want[i]) << at.name << " word " << i;
          continue;
        }
        // Sums of up to 17 terms of size about 1.
        const float g = std::bit_cast<float>(got[i]), w = std::bit_cast<float>(want[i]);
        ASSERT_LE(std::abs(g - w), at.tolerance * (4 + std::abs(w))) << at.name << " word " << i;
      }
    }
}

// The twins themselves, against products computed from the fragment tables of the PTX ISA (section
// "Matrix fragments for mma.m16n8k16 with floating point type" and for m16n8k8), written out here
// element by element.
TEST(Ptx, TheMmaTwinsFollowTheTablesOfTheIsa) {
  for (const bool half : {true, false}) {
    const PtxCase& at = kPtxCases[half ? 4 : 5];
    const Words in = input(at, 7);
    const int K = half ? 16 : 8;
    std::vector<double> a(16 * 16), b(16 * 8), c(16 * 8);
    for (int lane = 0; lane < 32; ++lane) {
      const std::uint32_t* mine = in.data() + lane * 10;
      const int group = lane >> 2, in_group = lane & 3;
      const int parts = half ? 8 : 4;
      for (int i = 0; i < parts; ++i) {  // a_i of the table
        const std::uint32_t word = mine[half ? i / 2 : i];
        const int row = (half ? (i < 2 || (i >= 4 && i < 6)) : i % 2 == 0) ? group : group + 8;
        const int col =
            half ? in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0) : in_group + (i >= 2 ? 4 : 0);
        const std::uint32_t bits = half ? (i & 1 ? word & 0xffff0000u : word << 16) : word;
        a[std::size_t(row * K + col)] = std::bit_cast<float>(bits);
      }
      for (int i = 0; i < parts / 2; ++i) {  // b_i
        const std::uint32_t word = mine[4 + (half ? i / 2 : i)];
        const int row = half ? in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0) : in_group + (i ? 4 : 0);
        const std::uint32_t bits = half ? (i & 1 ? word & 0xffff0000u : word << 16) : word;
        b[std::size_t(row * 8 + group)] = std::bit_cast<float>(bits);
      }
      for (int i = 0; i < 4; ++i)  // c_i
        c[std::size_t((i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1))] =
            std::bit_cast<float>(mine[6 + i]);
    }
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j)
        for (int k = 0; k < K; ++k)
          c[std::size_t(i * 8 + j)] += a[std::size_t(i * K + k)] * b[std::size_t(k * 8 + j)];
    const Words out = by_twin(at, in);
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 4; ++i) {
        const int row = (lane >> 2) + (i < 2 ? 0 : 8), col = (lane & 3) * 2 + (i & 1);
        EXPECT_NEAR(std::bit_cast<float>(out[std::size_t(lane * 4 + i)]),
                    c[std::size_t(row * 8 + col)], 17 * 0x1p-24 * 20)
            << at.name;
      }
  }
}

// Row i of matrix m is what lane 8m + i points at; lane l receives elements 2(l%4), 2(l%4)+1 of row
// l/4, or of the transpose's row.
TEST(Ptx, TheLdmatrixTwinsFollowTheTablesOfTheIsa) {
  for (int index = 0; index < 4; ++index) {
    const PtxCase& at = kPtxCases[index];
    const int matrices = index % 2 == 0 ? 4 : 2;
    const bool transposed = index >= 2;
    const Words in = input(at, 3), out = by_twin(at, in);
    const auto element = [&](int m, int row, int col) {
      const int line = (8 * m + row) * 7 % 32;
      return in[std::size_t(line * 4 + col / 2)] >> (col % 2 * 16) & 0xffffu;
    };
    for (int lane = 0; lane < 32; ++lane)
      for (int m = 0; m < matrices; ++m) {
        const int i = lane / 4, j = lane % 4 * 2;
        const std::uint32_t low = transposed ? element(m, j, i) : element(m, i, j);
        const std::uint32_t high = transposed ? element(m, j + 1, i) : element(m, i, j + 1);
        EXPECT_EQ(out[std::size_t(lane * matrices + m)], low | high << 16) << at.name;
      }
  }
}

}  // namespace
}  // namespace haze::test
