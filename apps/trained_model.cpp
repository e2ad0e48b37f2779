// SPDX-License-Identifier: MIT
#include "apps/trained_model.h"

#include "apps/advice.h"
#include "apps/data/input_file.h"
#include "apps/device.h"
#include "apps/paths.h"
#include "apps/point_pictures.h"
#include "apps/sampling.h"

namespace haze::apps {

namespace {

/// As asked, or as the network was trained. Trained in tf32, its weights are f32 all the same: the
/// CPU computes in that.
Precision precision_of(const SampleOptions& o, const RunConfig& config, const Stream& stream) {
  const bool on_cpu = std::holds_alternative<CpuStream>(stream);
  const Precision trained =
      config.precision == Precision::tf32 && on_cpu ? Precision::f32 : config.precision;
  return o.precision.value_or(trained);
}

}  // namespace

TrainedModel::TrainedModel(const SampleOptions& o, Stream stream, Console& console)
    : weights(load_weights(o.checkpoint, o.ema, o.ema_asked)),
      precision(precision_of(o, weights.config, stream)),
      context(in_precision(stream, precision), activations_of(precision)) {
  if (!o.precision && precision != weights.config.precision)
    console.info(cat(weights.path, ": trained in tf32; the CPU computes in f32"));
  for (const std::string& message : weights.messages) console.warning(message);
  for (const std::string& line :
       advice_for_sampling(weights.config, weights.meta.step, weights.ema))
    console.warning(line);
  if (config().data.image_size.size() != 2)
    throw InputError(cat(weights.path, ": data.image_size: []; [height, width]"));
  try {
    model::check_image_size(config().model, size().height, size().width);
  } catch (const InputError& e) {
    throw InputError(cat(weights.path, ": ", e.what()));
  }
  if (point_set_of(config().data.spec) && size().size() != 2)
    throw InputError(cat(weights.path, ": data.spec: ", printable(config().data.spec),
                         "; points are images of 1x1x2, these are ", size().height, "x",
                         size().width, "x", size().channels));
  network = make_trained_network(weights, stream, context.activations);
  context.fusion = o.fusion;
}

std::string TrainedModel::name() const {
  return cat(weights.path, ", step ", weights.meta.step, ", ", weights.ema ? "ema" : "raw",
             " weights");
}

Recipe TrainedModel::recipe(const SampleOptions& o, const model::SamplingOptions& sampler,
                            int count) const {
  return {.run = last_name(o.checkpoint),
          .step = weights.meta.step,
          .ema = weights.ema,
          .options = sampler,
          .count = count,
          .checkpoint = weights.hash,
          .classes = classes()};
}

void TrainedModel::fit_threads(const CommonOptions& common, int batch) const {
  apps::fit_threads(
      common, double(network->parameters().elements()) * batch * size().height * size().width);
}

}  // namespace haze::apps
