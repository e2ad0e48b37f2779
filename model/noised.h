// SPDX-License-Identifier: MIT
// noised.h — the forward process on given images: what training shows the network, to look at.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/context.h"
#include "engine/tensor.h"
#include "model/schedule.h"

namespace haze::model {

/// x0 of `shape` [n,H,W,C], f32, noised to time t (one for all): sqrt(ᾱ_t)·x0 + sqrt(1-ᾱ_t)·ε with
/// ε of image i from Philox stream kNoise of (seed, i): the same ε at every t, so that one image
/// can be followed. t in [0, T).
std::vector<float> noised(engine::Context& context, const Schedule& schedule,
                          std::span<const float> x0, engine::Shape shape, int t,
                          std::uint64_t seed);

}  // namespace haze::model
