// SPDX-License-Identifier: MIT
// q_sample.h — contract of the forward diffusion: x_t = sqrt(ᾱ_t)·x0 + sqrt(1-ᾱ_t)·ε (Ho et al.
// 2020, arXiv 2006.11239, eq. 4), from f32 values or straight from stored bytes.
#pragma once
#include "kernels/base/dtype.h"
#include "kernels/base/noise.h"

namespace haze::kernels {

/// Tables over t = 0 .. steps-1, where the kernel runs.
struct NoiseSchedule {
  const float* sqrt_alpha_bar;
  const float* sqrt_one_minus_alpha_bar;
  int steps;
};

/// x_t[n,i] = sqrt_alpha_bar[t[n]]·x0[n,i] + sqrt_one_minus_alpha_bar[t[n]]·eps[n,i]; x0
/// [n,elements] f32, t [n]. Overwrites x_t [n,elements]. t outside [0,steps): CheckError on the
/// CPU, NaN on a device.
template <class S>
void q_sample(S stream, const ItemDims& d, const float* x0, const std::int32_t* t,
              const NoiseSchedule& schedule, const Noise& eps, Act x_t);

/// A batch of n out of `images` stored ones.
struct ImageDims {
  int n, h, w, c, images;
  int elements() const { return h * w * c; }
};

/// A data set [images,h,w,c]: bytes, which are scaled, or f32, which is x0 as it stands.
struct StoredImages {
  StoredImages(const std::uint8_t* p) : data(p), dtype(DType::u8) {}
  StoredImages(const float* p) : data(p), dtype(DType::f32) {}
  template <class P>
  const P* as() const {
    return static_cast<const P*>(data);
  }
  const void* data;
  DType dtype;
};

/// How the items of a batch come to their times.
enum class TimeDraw : std::uint8_t {
  uniform,     // each draws its own
  antithetic,  // items 2k and 2k + 1 of the global batch: t as 2k draws it, and steps - 1 - t
  given,       // read from t
};

/// What is drawn for item first_item + n: t = below(bits, steps) and the flip, from the first draw
/// of its block 0; eps as Noise draws it.
struct ImageDraws {
  RandomKey timestep, noise, flip;
  std::uint32_t first_item = 0;
  bool mirrors = false;      // flip left to right where the flip's draw is >= 2^31
  bool zero_to_one = false;  // x0 = byte/255, else (2·byte - 255)/255
  TimeDraw times = TimeDraw::uniform;
};

/// x_t of images index[n] of a data set, in one pass. Overwrites x_t [n,h,w,c], unless given t [n]
/// (the drawn times) and, unless null, x0 [n,h,w,c] f32 (no aliases). An index outside [0,images)
/// or a given t outside [0,steps): CheckError on the CPU, NaN on a device.
template <class S>
void q_sample_images(S stream, const ImageDims& d, const StoredImages& images,
                     const std::int32_t* index, const NoiseSchedule& schedule,
                     const ImageDraws& draws, std::int32_t* t, Act x_t, float* x0 = nullptr);

}  // namespace haze::kernels
