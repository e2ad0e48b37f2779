// SPDX-License-Identifier: MIT
// arguments.h — noise and schedule as the kernels of the process take them.
#pragma once
#include "engine/process/dims.h"
#include "engine/process/process.h"

namespace haze::engine {

/// Of values of `shape`.
inline kernels::Noise kernel_noise(const Noise& noise, Shape shape) {
  HAZE_CHECK(!noise.given || noise.given.shape == shape, "noise is ", noise.given.shape.str(),
             ", the values are ", shape.str());
  return {noise.given.f32(), noise.key, noise.first_item};
}

/// Of T >= 1 times.
inline kernels::NoiseSchedule kernel_schedule(const NoiseTables& tables) {
  HAZE_CHECK(
      tables.steps() > 0 && tables.sqrt_one_minus_alpha_bar.shape == tables.sqrt_alpha_bar.shape,
      "tables are ", tables.sqrt_alpha_bar.shape.str(), " and ",
      tables.sqrt_one_minus_alpha_bar.shape.str());
  return {tables.sqrt_alpha_bar.f32(), tables.sqrt_one_minus_alpha_bar.f32(), tables.steps()};
}

}  // namespace haze::engine
