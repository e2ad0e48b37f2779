#include "model/noised.h"

#include <cmath>

#include "engine/diffusion_ops.h"
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
  const engine::NoiseTables tables{engine::to_device(context, {1}, std::span<const float>(signal)),
                                   engine::to_device(context, {1}, std::span<const float>(noise))};
  const std::vector<std::int32_t> times(std::size_t(shape[0]), 0);
  const engine::Noise eps{{}, {seed, engine::streams::kNoise, 0}, 0};
  const engine::Tensor x_t = engine::q_sample(
      context, engine::to_device(context, shape, x0),
      engine::to_device(context, {shape[0]}, std::span<const std::int32_t>(times)), tables, eps);
  return engine::Tape(context, false).to_host(x_t);
}

}  // namespace haze::model
