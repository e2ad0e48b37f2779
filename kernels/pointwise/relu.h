// SPDX-License-Identifier: MIT
// relu.h — the rectifier, y = max(x, 0).
#pragma once
#include "kernels/base/host_device.h"

namespace haze::kernels {

/// NaN stays NaN. The gradient at 0 is 0. It is computed from y, which the next layer keeps anyway.
struct Relu {
  static constexpr const char* kName = "relu";
  static constexpr bool kKeepsY = true;

  HAZE_HD static float y(float x) { return x < 0.0f ? 0.0f : x; }
  HAZE_HD static float dx(float dy, float y) { return y <= 0.0f ? 0.0f : dy; }

  struct Reference {
    static double y(double x) { return x < 0 ? 0 : x; }
    static double dx(double dy, double y) { return y <= 0 ? 0 : dy; }
  };
};

}  // namespace haze::kernels
