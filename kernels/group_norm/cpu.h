// SPDX-License-Identifier: MIT
// cpu.h — what both directions of the CPU backend share: how a call is cut up and run.
//
//   mapping   Rows of c channels are contiguous and a group may be a single channel, so every loop
//             runs over pixels × all channels with one accumulator per channel; channels meet in
//             their group only at the end of an image. An image is cut into chunks of pixels.
//   threads   One image per thread, so that its second pass finds it in L2; with few images, the
//             chunks of one image are shared out. The chunks, and the order in which their sums are
//             added, follow from the shape alone: the result does not depend on the thread count.
#pragma once
#include <algorithm>
#include <cmath>
#include <omp.h>
#include <type_traits>

#include "kernels/base/math.h"
#include "kernels/base/stream.h"
#include "kernels/group_norm/group_norm.h"

namespace haze::kernels::group_norm_cpu {

/// Pixels per turn of the inner loops, sharing one load of the coefficients.
constexpr int kRows = 4;
/// 512 KiB of d(loss)/dz per thread, to stay in L2.
constexpr std::size_t kKeptValues = 1 << 17;

inline void check(const GroupNormDims& d) {
  HAZE_CHECK(d.n > 0 && d.hw > 0 && d.c > 0, "n=", d.n, " hw=", d.hw, " c=", d.c);
  HAZE_CHECK(d.groups > 0 && d.c % d.groups == 0, "groups must divide C: C=", d.c,
             " groups=", d.groups);
}

/// Calls f(bool constant) with what `swish` says.
template <class F>
void choose(bool swish, F f) {
  swish ? f(std::true_type{}) : f(std::false_type{});
}

/// How one call is cut up, and where its scratch lies.
struct ChunkPlan {
  explicit ChunkPlan(const GroupNormDims& d) : n(d.n), hw(d.hw), c(d.c) {
    const int target = std::clamp(4096 / c, 8, 128);
    chunks = (hw + target - 1) / target;
    const int threads = omp_get_max_threads();
    share_images = threads > 1 && n < 2 * threads && n % threads != 0;
    doubles = 2 * std::size_t(c);
    stride = doubles * sizeof(double) + (2 * std::size_t(chunks) + 4) * c * sizeof(float);
    stride = (stride + 63) / 64 * 64;
    slots = share_images ? 1 : std::min(threads, n);
    const std::size_t values = std::size_t(hw) * c;
    kept = d.swish && values <= kKeptValues ? (values + 15) / 16 * 16 : 0;
  }
  std::size_t bytes() const { return stride * n + kept * slots * sizeof(float); }
  int first(int chunk) const { return int(std::int64_t(hw) * chunk / chunks); }

  int n, hw, c, chunks;
  bool share_images;  // all threads on one image at a time
  int slots;          // images in work at a time
  std::size_t doubles, stride;
  std::size_t kept;  // values of d(loss)/dz that each slot keeps; 0: computed twice
};

/// The scratch of one image: per-channel totals, coefficients and the sums of each chunk.
struct Workspace {
  Workspace(const ChunkPlan& plan, void* scratch, int n)
      : totals(reinterpret_cast<double*>(static_cast<char*>(scratch) + plan.stride * n)),
        coefficients(reinterpret_cast<float*>(totals + plan.doubles)),
        sums(coefficients + 4 * std::size_t(plan.c)),
        c(std::size_t(plan.c)) {}
  double* total(int which) const { return totals + which * c; }             // which: 0, 1
  float* coefficient(int which) const { return coefficients + which * c; }  // which: 0 .. 3
  float* sum(int chunk, int which) const { return sums + (2 * chunk + which) * c; }

  double* totals;
  float *coefficients, *sums;
  std::size_t c;
};

/// A run of channels that lie together in x's tensor: all of them, or one side of the seam. The
/// loops over pixels take each part on its own; what they add up is per channel.
struct ChannelSpan {
  int first, channels;  // among all channels
  /// Where pixel `pixel` of this part starts in a tensor of its channels alone, and of all.
  std::size_t own(std::size_t pixel) const { return pixel * channels; }
  std::size_t among(std::size_t pixel, int c) const { return pixel * c + first; }
};

/// Calls f(span, its tensor of x or dx) for each.
template <class P, class F>
void each_span(const GroupNormDims& d, const P& first, const P& second, F f) {
  f(ChannelSpan{0, d.c - d.c2}, first);
  if (d.c2 > 0) f(ChannelSpan{d.c - d.c2, d.c2}, second);
}

/// Calls f(image, slot): no two images in work at a time have the same slot.
template <class F>
void each_image(const ChunkPlan& plan, F f) {
  if (plan.share_images) {
    for (int n = 0; n < plan.n; ++n) f(n, 0);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(plan.slots)
  for (int n = 0; n < plan.n; ++n) f(n, omp_get_thread_num());
}

/// Calls f(chunk, its first pixel, its number of pixels).
template <class F>
void each_chunk(const ChunkPlan& plan, F f) {
  const auto one = [&](int k) { f(k, plan.first(k), plan.first(k + 1) - plan.first(k)); };
  if (!plan.share_images || plan.chunks == 1) {
    for (int k = 0; k < plan.chunks; ++k) one(k);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int k = 0; k < plan.chunks; ++k) one(k);
}

/// Calls f.template operator()<rows>(pixel): kRows pixels at a time, then the rest one by one.
template <class F>
[[gnu::always_inline]] inline void each_rows(int first, int pixels, F&& f) {
  int p = first;
  for (; p + kRows <= pixels; p += kRows) f.template operator()<kRows>(p);
  for (; p < pixels; ++p) f.template operator()<1>(p);
}

/// mean and gamma·rstd per channel: coefficients 0 and 1.
inline void spread_statistics(const GroupNormDims& d, const Workspace& w, const float* gamma,
                              const float* mean, const float* rstd) {
  const int per_group = d.c / d.groups;
  for (int g = 0, i = 0; g < d.groups; ++g)
    for (const int end = i + per_group; i < end; ++i) {
      w.coefficient(0)[i] = mean[g];
      w.coefficient(1)[i] = gamma[i] * rstd[g];
    }
}

}  // namespace haze::kernels::group_norm_cpu
