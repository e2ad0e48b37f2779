// SPDX-License-Identifier: MIT
#include "apps/image/resize.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace haze::apps {
namespace {

// Weights have 15 fractional bits and sum to exactly 1, so that a flat area keeps its value; the
// rows in between have 7, so that two roundings cost little and 2^15 · 255 · 2^7 fits 31 bits.
constexpr int kWeightBits = 15, kRowBits = 7;

struct Taps {  // result pixel i = Σ_k weight[i·width + k] · source[first[i] + k]
  int width = 0;
  std::vector<int> first;
  std::vector<std::int32_t> weight;
};

/// `from` source pixels, of which the interval [origin, origin + length) becomes `to` pixels.
Taps taps_of(int from, double origin, double length, int to) {
  const double scale = length / to, radius = std::max(1.0, scale);
  Taps taps;
  taps.width = std::min(from, int(std::ceil(2 * radius)) + 1);
  taps.first.resize(to);
  taps.weight.assign(std::size_t(to) * taps.width, 0);
  std::vector<double> upto(taps.width + 1);
  for (int i = 0; i < to; ++i) {
    const double centre = origin + (i + 0.5) * scale - 0.5;  // in the source's pixel centres
    taps.first[i] = std::clamp(int(std::floor(centre - radius)) + 1, 0, from - taps.width);
    for (int k = 0; k < taps.width; ++k)
      upto[k + 1] = upto[k] + std::max(0.0, 1 - std::abs(taps.first[i] + k - centre) / radius);
    // Rounding the running sum keeps the total exact, however many taps there are.
    const auto rounded = [&](int k) {
      return std::int32_t(std::floor(upto[k] / upto[taps.width] * (1 << kWeightBits) + 0.5));
    };
    for (int k = 0; k < taps.width; ++k)
      taps.weight[std::size_t(i) * taps.width + k] = rounded(k + 1) - rounded(k);
  }
  return taps;
}

/// [from_w, C] -> [to, C] with kRowBits fractional bits.
template <int C>
void resize_row(const Taps& taps, const std::uint8_t* row, int to, std::uint16_t* out) {
  constexpr int kShift = kWeightBits - kRowBits;
  for (int i = 0; i < to; ++i) {
    const std::uint8_t* at = row + std::size_t(taps.first[i]) * C;
    const std::int32_t* weight = taps.weight.data() + std::size_t(i) * taps.width;
    std::int32_t sum[C] = {};
    for (int k = 0; k < taps.width; ++k)
      for (int c = 0; c < C; ++c) sum[c] += weight[k] * at[k * C + c];
    for (int c = 0; c < C; ++c)
      out[i * C + c] = std::uint16_t((sum[c] + (1 << (kShift - 1))) >> kShift);
  }
}

}  // namespace

void resize_and_crop(const std::uint8_t* from, int from_h, int from_w, int channels,
                     std::uint8_t* to, int to_h, int to_w) {
  const double scale = std::min(double(from_h) / to_h, double(from_w) / to_w);
  const double box_h = to_h * scale, box_w = to_w * scale;
  const Taps across = taps_of(from_w, (from_w - box_w) / 2, box_w, to_w);
  const Taps down = taps_of(from_h, (from_h - box_h) / 2, box_h, to_h);

  // Rows that no tap reaches are not resized: of a tall picture only the middle is kept.
  const int begin = down.first.front(), end = down.first.back() + down.width;
  const std::size_t row = std::size_t(to_w) * channels;
  std::vector<std::uint16_t> rows(row * (end - begin));
  for (int y = begin; y < end; ++y) {
    const std::uint8_t* source = from + std::size_t(y) * from_w * channels;
    std::uint16_t* out = rows.data() + row * (y - begin);
    channels == 1 ? resize_row<1>(across, source, to_w, out)
                  : resize_row<3>(across, source, to_w, out);
  }
  constexpr int kShift = kWeightBits + kRowBits;
  std::vector<std::int32_t> sum(row);
  for (int y = 0; y < to_h; ++y) {
    std::fill(sum.begin(), sum.end(), 1 << (kShift - 1));
    for (int k = 0; k < down.width; ++k) {
      const std::int32_t weight = down.weight[std::size_t(y) * down.width + k];
      const std::uint16_t* in = rows.data() + row * (down.first[y] + k - begin);
      std::int32_t* s = sum.data();
#pragma omp simd
      for (std::size_t i = 0; i < row; ++i) s[i] += weight * in[i];
    }
    for (std::size_t i = 0; i < row; ++i) to[y * row + i] = std::uint8_t(sum[i] >> kShift);
  }
}

}  // namespace haze::apps
