// SPDX-License-Identifier: MIT
#include "model/verify/recompute.h"

#include "engine/device_tensor.h"
#include "model/sampler.h"
#include "model/verify/record.h"
#include "model/verify/recorded_batch.h"

namespace haze::model {
namespace {

Schedule recorded_schedule(const DiffusionConfig& diffusion) {
  return in_single_precision(make_schedule(diffusion));
}

/// Calls f(noising) for block k of a grad or train record, with `scale` times its x0.
template <class F>
auto with_batch(const Subject& s, const Trainer& trainer, const StateDict& record,
                const Images& images, int k, float scale, F f) {
  const auto x0 = images.block(recorded(record, "x0"), k, scale);
  const auto noise = images.block(recorded(record, "noise"), k);
  const auto n = std::size_t(images.n);
  const auto t = recorded_times(recorded(record, "t"), std::size_t(k) * n, n, s.diffusion.steps);
  const RecordedBatch batch{x0, noise, t, images.n, images.h, images.w, images.c};
  return f(recorded_noising(s.context, trainer.tables(), batch));
}

}  // namespace

StateDict outputs(const Subject& s, const StateDict& record, float scale) {
  const Images images = images_of(record, "x", false, s.config);
  require_shape(record, "t", {images.n});
  const auto x = images.block(recorded(record, "x"), 0, scale);
  // Sines and channels of t take any; a table has a row for each time of the chain.
  const int times = s.config.family == Family::point_mlp ? s.diffusion.steps : 1 << 24;
  const auto t = recorded_times(recorded(record, "t"), 0, std::size_t(images.n), times);
  engine::Tape tape(s.context, false);
  const engine::Shape shape{images.n, images.h, images.w, images.c};
  const auto in = engine::to_activations(s.context, engine::upload(s.context, shape, x));
  const auto at = engine::upload(s.context, {images.n}, t);
  const engine::Var eps = s.network.forward(tape, {tape.leaf(in), at, {}}, nullptr);
  return {{"eps", images.recorded_layout(engine::download(s.context, tape.value(eps)))}};
}

StateDict gradients(const Subject& s, const StateDict& record, float scale) {
  const Images images = images_of(record, "x0", false, s.config);
  require_shape(record, "noise", recorded(record, "x0").shape);
  require_shape(record, "t", {images.n});
  Trainer trainer(s.context, s.network, s.diffusion, recorded_schedule(s.diffusion), {}, 0);
  const float loss = with_batch(s, trainer, record, images, 0, scale, [&](const Noising& noised) {
    return trainer.loss_and_gradients(images.n, noised);
  });
  StateDict found{{"loss", {{1}, {loss}}}};
  auto& parameters = s.network.parameters();
  for (auto& [name, g] : to_state_dict(parameters, parameters.gradients, true))
    found["grad." + name] = std::move(g);
  for (const auto& [name, g] : found)
    if (!record.contains(name))
      throw InputError(cat("record: it has no ", name, ", which the network computes"));
  for (const auto& [name, g] : record)
    if (name.starts_with("grad.") && !found.contains(name))
      throw InputError(cat("record: ", name, "; the network has no such gradient"));
  return found;
}

StateDict samples(const Subject& s, const StateDict& record) {
  const Images images = images_of(record, "x_T", false, s.config);
  const Images noise = images_of(record, "z", true, s.config);
  auto shape = recorded(record, "x_T").shape;
  require_shape(record, "x_0", shape);
  shape.insert(shape.begin(), noise.leading);
  require_shape(record, "z", shape);
  SamplingOptions options;
  options.steps = noise.leading;
  options.batch = images.n;
  options.x_T = images.block(recorded(record, "x_T"), 0);
  for (int k = 0; k < noise.leading; ++k) {
    const auto z = noise.block(recorded(record, "z"), k);
    options.z.insert(options.z.end(), z.begin(), z.end());
  }
  // Its z says what is added at t = 0: zeros, if the chain it comes from adds nothing there.
  DiffusionConfig chain = s.diffusion;
  chain.noise_at_t0 = true;
  const auto x =
      sample(s.context, s.network, chain, images.n, images.h, images.w, images.c, options);
  return {{"x_0", images.recorded_layout(x)}};
}

StateDict losses(const Subject& s, const StateDict& record) {
  const Images images = images_of(record, "x0", true, s.config);
  require_shape(record, "noise", recorded(record, "x0").shape);
  require_shape(record, "t", {images.leading, images.n});
  TrainConfig options;
  options.learning_rate = 1e-3;
  if (record.contains("adam_eps")) {
    require_shape(record, "adam_eps", {1});
    options.adam_eps = double(recorded(record, "adam_eps").values[0]);
    if (!(options.adam_eps > 0)) throw InputError("record: adam_eps must be positive");
  }
  Trainer trainer(s.context, s.network, s.diffusion, recorded_schedule(s.diffusion), options, 0);
  HostTensor loss{{images.leading}, {}};
  for (int k = 0; k < images.leading; ++k)
    loss.values.push_back(with_batch(s, trainer, record, images, k, 1, [&](const Noising& noised) {
      return trainer.step(std::uint32_t(k), images.n, noised).loss;
    }));
  return {{"loss", std::move(loss)}};
}

}  // namespace haze::model
