// SPDX-License-Identifier: MIT
// reference.h — clip_grad_norm_ and torch.optim.AdamW as PyTorch writes them, line by line, in T.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

namespace haze::kernels::reference {

template <class T>
struct AdamW {
  T lr = T(1e-3), beta1 = T(0.9), beta2 = T(0.999), eps = T(1e-8), weight_decay = 0;
  int step = 0;
  std::vector<T> exp_avg = {}, exp_avg_sq = {};

  /// torch.nn.utils.clip_grad_norm_: scales grad, returns the norm before.
  static T clip_grad_norm(std::vector<T>& grad, T max_norm) {
    T sum = 0;
    for (const T g : grad) sum += g * g;
    const T total_norm = std::sqrt(sum);
    const T clip_coef_clamped = std::min(T(1), max_norm / (total_norm + T(1e-6)));
    for (T& g : grad) g *= clip_coef_clamped;
    return total_norm;
  }

  /// torch.amp.GradScaler.step: where something is not finite there is no optimizer.step(), so that
  /// neither the state nor its count of steps moves. Returns whether there was one.
  bool update_if_finite(std::vector<T>& param, const std::vector<T>& grad,
                        const std::vector<T>& losses) {
    const auto finite = [](T x) { return std::isfinite(x); };
    if (!std::all_of(grad.begin(), grad.end(), finite)) return false;
    if (!std::all_of(losses.begin(), losses.end(), finite)) return false;
    update(param, grad);
    return true;
  }

  void update(std::vector<T>& param, const std::vector<T>& grad) {
    exp_avg.resize(param.size());
    exp_avg_sq.resize(param.size());
    step += 1;
    const T bias_correction1 = 1 - std::pow(beta1, T(step));
    const T bias_correction2 = 1 - std::pow(beta2, T(step));
    for (std::size_t i = 0; i < param.size(); ++i) {
      param[i] *= 1 - lr * weight_decay;
      exp_avg[i] += (grad[i] - exp_avg[i]) * (1 - beta1);
      exp_avg_sq[i] = exp_avg_sq[i] * beta2 + (1 - beta2) * grad[i] * grad[i];
      const T denom = std::sqrt(exp_avg_sq[i]) / std::sqrt(bias_correction2) + eps;
      param[i] -= lr / bias_correction1 * exp_avg[i] / denom;
    }
  }
};

}  // namespace haze::kernels::reference
