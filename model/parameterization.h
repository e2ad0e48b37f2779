// SPDX-License-Identifier: MIT
// parameterization.h — what a network's output means: the image and the noise as linear functions of x_t
// and the output, for each of the three things that networks are trained to predict.
#pragma once
#include <cmath>

#include "model/config.h"

namespace haze::model {

/// x0 = x0_xt·x_t + x0_out·out and eps = eps_xt·x_t + eps_out·out.
struct Parameterization {
  double x0_xt, x0_out, eps_xt, eps_out;
};

/// At noise level alpha_bar, with x_t = a·x0 + s·eps, a = sqrt(alpha_bar), s = sqrt(1 - alpha_bar).
/// v = a·eps - s·x0 (Salimans & Ho 2022, arXiv:2202.00512), so x0 = a·x_t - s·v, eps = s·x_t + a·v.
inline Parameterization parameterization_of(Prediction prediction, double alpha_bar) {
  const double a = std::sqrt(alpha_bar), s = std::sqrt(1 - alpha_bar);
  switch (prediction) {
    case Prediction::x0:
      return {0, 1, 1 / s, -a / s};
    case Prediction::v:
      return {a, -s, s, a};
    case Prediction::eps:
      break;
  }
  return {1 / a, -s / a, 0, 1};
}

/// The target of training as from_noise·eps + from_x0·x0.
struct TrainingTarget {
  double from_noise, from_x0;
};
inline TrainingTarget target_of(Prediction prediction, double alpha_bar) {
  switch (prediction) {
    case Prediction::x0:
      return {0, 1};
    case Prediction::v:
      return {std::sqrt(alpha_bar), -std::sqrt(1 - alpha_bar)};
    case Prediction::eps:
      break;
  }
  return {1, 0};
}

/// min-SNR-gamma (Hang et al. 2023, arXiv:2303.09556, §3.4): the loss of x0 weighted by
/// min(SNR, gamma), SNR = alpha_bar/(1 - alpha_bar), spelled for what the network predicts.
inline double min_snr_weight(Prediction prediction, double alpha_bar, double gamma) {
  const double snr = alpha_bar / (1 - alpha_bar), limited = std::fmin(snr, gamma);
  switch (prediction) {
    case Prediction::x0:
      return limited;
    case Prediction::v:
      return limited / (snr + 1);
    case Prediction::eps:
      break;
  }
  return limited / snr;
}

}  // namespace haze::model
