// SPDX-License-Identifier: MIT
#include "model/noised.h"

#include <cmath>

#include "engine/device_tensor.h"
#include "engine/process/process.h"
#include "engine/random.h"

namespace haze::model {

std::vector<float> noised(engine::Context& context, const Schedule& schedule,
                          std::span<const float> x0, engine::Shape shape, int t,
                          std::uint64_t seed) {
  const int T = int(schedule.alpha_bar.size());
  HAZE_CHECK(t >= 0 && t < T, "t ", t, " of ", T);
  const double ab = schedule.alpha_bar[std::size_t(t)];
  const float signal[] = {float(std::sqrt(ab))}, noise[] = {float(std::sqrt(1 - ab))};
  // A schedule of one time serves: every image is at its time 0.
  const engine::NoiseTables tables{engine::upload(context, {1}, signal),
                                   engine::upload(context, {1}, noise)};
  const std::vector<std::int32_t> times(std::size_t(shape[0]), 0);
  const engine::Noise eps{{}, {seed, engine::streams::kNoise, 0}, 0};
  const engine::Tensor x_t =
      engine::q_sample(context, engine::upload(context, shape, x0),
                       engine::upload(context, {shape[0]}, times), tables, eps);
  return engine::download(context, x_t);
}

}  // namespace haze::model
