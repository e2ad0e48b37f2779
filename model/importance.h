// SPDX-License-Identifier: MIT
// importance.h — drawing the training times in proportion to how large their losses are, so that
// the variational bound is estimated with less noise (Nichol & Dhariwal 2021, arXiv:2102.09672,
// §3.3, eq. 18).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "model/weights.h"

namespace haze::model {

/// p_t ∝ sqrt(mean of the squares of the last ten losses at t), mixed with 0.1 % of the uniform
/// distribution; uniform until every t has ten. A pure function of what was recorded, the seed and
/// the step. The record belongs to the training state: it goes into checkpoints.
class ImportanceTimes {
 public:
  static constexpr int kKept = 10;
  explicit ImportanceTimes(int steps);

  /// The times of items 0 .. n-1 of training step `step`.
  std::vector<std::int32_t> draw(std::uint64_t seed, std::uint32_t step, int n) const;
  /// 1/(T·p_t) per t: what a loss at t counts, so that the mean stays what it is. [T]
  std::vector<double> weights() const;
  /// Takes the losses of items with those times; the oldest of a t makes room. Losses that are not
  /// finite are left out.
  void record(std::span<const std::int32_t> t, std::span<const float> losses);

  /// `times.losses` [T,10] and `times.counts` [T], for a checkpoint.
  StateDict state() const;
  /// Throws InputError if the state is not one of T times.
  void restore(const StateDict& state);

 private:
  std::vector<double> probabilities() const;
  int steps_;
  std::vector<float> losses_;  // [T,10], the newest last
  std::vector<float> counts_;  // [T]
};

}  // namespace haze::model
