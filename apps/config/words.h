// SPDX-License-Identifier: MIT
// words.h — the words of the enumerations that describe networks, training and sampling.
#pragma once
#include "apps/words.h"
#include "model/chain.h"
#include "model/config.h"

namespace haze::apps {

template <>
inline constexpr auto kWords<model::Family> = words_for<model::Family>("labml_unet", "ddpm_unet",
                                                                       "point_mlp", "conv_denoiser",
                                                                       "linear_denoiser");
template <>
inline constexpr auto kWords<model::ScheduleKind> =
    words_for<model::ScheduleKind>("linear", "cosine", "sigmoid", "sigmoid_alpha_bar");
template <>
inline constexpr auto kWords<model::Variance> = words_for<model::Variance>("beta", "beta_tilde",
                                                                           "learned");
template <>
inline constexpr auto kWords<model::Prediction> = words_for<model::Prediction>("eps", "x0", "v");
template <>
inline constexpr auto kWords<model::Start> = words_for<model::Start>("unit", "schedule");
template <>
inline constexpr auto kWords<model::LossWeight> = words_for<model::LossWeight>("none", "min_snr");
template <>
inline constexpr auto kWords<model::Timesteps> = words_for<model::Timesteps>("uniform",
                                                                             "antithetic",
                                                                             "importance");
template <>
inline constexpr auto kWords<model::LrDecay> = words_for<model::LrDecay>("none", "cosine");
template <>
inline constexpr auto kWords<model::SamplerKind> = words_for<model::SamplerKind>("ddpm", "ddim",
                                                                                 "dpmpp", "heun");
template <>
inline constexpr auto kWords<model::Spacing> = words_for<model::Spacing>("linspace", "leading",
                                                                         "trailing");

}  // namespace haze::apps
