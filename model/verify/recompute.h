// SPDX-License-Identifier: MIT
// recompute.h — what haze computes for each kind of record, under the record's names and shapes.
#pragma once
#include "model/network.h"
#include "model/weights.h"

namespace haze::model {

/// A network with a record's weights, and where it computes.
struct Subject {
  engine::Context& context;
  const NetworkConfig& config;
  const DiffusionConfig& diffusion;
  Network& network;
};

/// Of a forward record: eps for `scale` times its x.
StateDict outputs(const Subject& subject, const StateDict& record, float scale);
/// Of a grad record: loss and gradients for `scale` times its x0. InputError for a gradient that
/// one of the two has and the other has not.
StateDict gradients(const Subject& subject, const StateDict& record, float scale);
/// Of a sample record: x_0 of the DDPM chain from its x_T with its z.
StateDict samples(const Subject& subject, const StateDict& record);
/// Of a train record: the loss before each of its steps. Leaves the network as they leave it.
StateDict losses(const Subject& subject, const StateDict& record);

}  // namespace haze::model
