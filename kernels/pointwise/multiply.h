// SPDX-License-Identifier: MIT
// multiply.h — the product, y = a·b.
#pragma once
#include "kernels/base/host_device.h"

namespace haze::kernels {

struct Multiply {
  static constexpr const char* kName = "multiply";

  HAZE_HD static float y(float a, float b) { return a * b; }
  HAZE_HD static float da(float dy, float, float b) { return dy * b; }
  HAZE_HD static float db(float dy, float a, float) { return dy * a; }

  struct Reference {
    static double y(double a, double b) { return a * b; }
    static double da(double dy, double, double b) { return dy * b; }
    static double db(double dy, double a, double) { return dy * a; }
  };
};

}  // namespace haze::kernels
