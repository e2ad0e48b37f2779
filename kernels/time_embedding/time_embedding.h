// SPDX-License-Identifier: MIT
// time_embedding.h — contract of the sinusoidal embedding of the diffusion time (Vaswani et al.
// 2017, section 3.5, in DDPM's form: all sines, then all cosines).
#pragma once
#include <cstdint>

#include "kernels/base/dtype.h"

namespace haze::kernels {

/// half = dim/2 frequencies f_i = exp(-ln(10000)·i/(half - freq_shift)).
///
/// At t = 1000 one ulp of a frequency moves the result by up to 6e-5, so agreement with networks
/// trained elsewhere means rounding to f32 where they do: the exponent as (-ln(10000)·i)/(half -
/// freq_shift) or, with step_first, as i·(-ln(10000)/(half - freq_shift)); then f_i; then t·f_i.
/// The exponential is taken in double, so that every backend has the same frequencies.
struct TimeEmbeddingDims {
  int n, dim;  // dim even, half > freq_shift
  bool cosine_first = false;
  float freq_shift = 1;
  bool step_first = false;
};

/// y[n] = [sin(t[n]·f), cos(t[n]·f)], or with cosine_first [cos, sin]. Overwrites y [n,dim].
template <class S>
void time_embedding(S stream, const TimeEmbeddingDims& d, const std::int32_t* t, Act y);

}  // namespace haze::kernels
