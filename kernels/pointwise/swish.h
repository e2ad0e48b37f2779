// SPDX-License-Identifier: MIT
// swish.h — Swish, y = x·sigmoid(x), also called SiLU (Ramachandran et al., "Searching for
// Activation Functions", 2017).
#pragma once
#include <cmath>

#include "kernels/base/math.h"

namespace haze::kernels {

/// dx = dy·s·(1 + x·(1-s)), s = sigmoid(x).
struct Swish {
  static constexpr const char* kName = "swish";
  static constexpr bool kKeepsY = false;

  HAZE_HD static float y(float x) { return x * sigmoid_f32(x); }
  HAZE_HD static float dx(float dy, float x) {
    const float s = sigmoid_f32(x);
    return dy * s * std::fma(x, 1.0f - s, 1.0f);
  }

  struct Reference {
    static double y(double x) { return x / (1 + std::exp(-x)); }
    static double dx(double dy, double x) {
      const double s = 1 / (1 + std::exp(-x));
      return dy * s * (1 + x * (1 - s));
    }
  };
};

}  // namespace haze::kernels
