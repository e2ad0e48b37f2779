// SPDX-License-Identifier: MIT
// objective.h — what training minimises: the squared error of whatever the network predicts,
// weighted by time, and for a learned variance the variational bound beside it.
#pragma once
#include <span>

#include "engine/process/process.h"
#include "model/config.h"
#include "model/schedule.h"

namespace haze::model {

/// A part of a batch, noised: what the network sees and what it must predict.
struct NoisedBatch {
  engine::Tensor x_t, t;  // activations [N,H,W,C]; [N] i32
  engine::Noise noise;
  engine::Tensor x0;         // [N,H,W,C] f32; where Objective::wants_x0()
  engine::Tensor labels;     // [N] i32; of a conditional network
  bool zero_to_one = false;  // the data's range is [0,1], not [-1,1]
};

class Objective {
 public:
  /// `channels` of the data.
  Objective(engine::Context& context, const DiffusionConfig& diffusion, const Schedule& schedule,
            const TrainConfig& train, int channels);

  bool wants_x0() const { return bool(from_x0_) || learned_; }
  /// The loss of the network's output `out` as [1]: the weighted squared error and, for a learned
  /// variance, vlb_weight times the bound in bits per dimension, as T times the term of each item's
  /// t (improved-diffusion's, which does not clip x0 here either); the bound trains the variance
  /// alone. And, unless empty, each item's unweighted
  /// squared error in item_loss [N]. The gradient is multiplied by `share`, the value is not.
  engine::Var operator()(engine::Tape& tape, engine::Var out, const NoisedBatch& batch, float share,
                         const engine::Tensor& item_loss) const;
  /// Multiplies the weights of the times by `factors` [T]: importance sampling's, new every step.
  void reweight(engine::Context& context, std::span<const double> factors);
  /// The prediction of x0 from the network's output, [N,H,W,C] in the type of the activations.
  engine::Tensor predicted_x0(engine::Context& context, const NoisedBatch& batch,
                              const engine::Tensor& out) const;

 private:
  int channels_;  // of the data, where the output has variances too; else 0
  bool learned_;
  std::vector<double> base_weight_;               // [T]
  engine::Tensor from_noise_, from_x0_, weight_;  // [T] f32; empty: 1, 0, 1
  engine::Tensor bound_table_, bound_weight_;     // of a learned variance: BoundSteps, [T] f32
  double bound_scale_ = 0;                        // vlb_weight·T/ln 2: the loss per nat of a term
  engine::NoiseTables x0_tables_;                 // x0 = a[t]·x_t + b[t]·out
};

}  // namespace haze::model
