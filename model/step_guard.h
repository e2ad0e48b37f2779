// SPDX-License-Identifier: MIT
// step_guard.h — which training steps are kept from the weights, and what of that outlives a step.
//
// The decision is the device's (kernels/adam/adam.h): a step whose loss or gradient is not finite,
// or whose gradient is larger than a limit, changes neither weights nor moments nor EMA. The limit of
// the next step follows from the steps before it, whose norms the host has read by then.
#pragma once
#include <cstdint>
#include <vector>

#include "model/weights.h"

namespace haze::model {

/// Why a step left the network as it was: its loss is not finite; its gradient is not, or is too large
/// to be squared in f32 (engine/adam.h); or its gradient is above the limit.
enum class Skip : std::uint8_t { no, loss, gradient, spike };

class StepGuard {
 public:
  /// How many norms the running median is of. Spikes are judged once so many are known.
  static constexpr std::size_t kWindow = 51;
  /// So many steps in a row that are skipped for another reason than a spike: the run is lost.
  static constexpr int kMostInARow = 3;

  /// `spike_factor` times the running median is the limit; 0: spikes are not judged.
  explicit StepGuard(double spike_factor) : spike_factor_(spike_factor) {}

  /// The largest norm that the next step may apply; infinity where spikes are not judged (yet), or
  /// the median is 0.
  double limit() const;
  /// Takes what a step has come to: its mean loss, the norm of its gradient, and whether the device
  /// has made the update. Every finite norm enters the median, a spike's too, so that a lasting
  /// change of size becomes the measure after half a window.
  Skip record(float loss, float norm, bool updated);

  /// Skipped steps so far, and how many of them since the last update or spike.
  std::uint64_t skipped() const { return skipped_; }
  int in_a_row() const { return in_a_row_; }

  /// For a checkpoint: `guard.skipped` [3], of which the first two are the number of skipped steps to
  /// the base 2^24, low digit first, the third is in_a_row; `guard.norms` [up to kWindow], the oldest
  /// first. Each only where it says something: a run without a bad step has neither.
  StateDict state() const;
  /// Missing ones mean none. Throws InputError for a state that no guard has written.
  void restore(const StateDict& state);

 private:
  double spike_factor_;
  std::vector<float> norms_;  // at most kWindow, the oldest first; empty if spikes are not judged
  std::uint64_t skipped_ = 0;
  int in_a_row_ = 0;
};

}  // namespace haze::model
