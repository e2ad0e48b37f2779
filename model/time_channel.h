// SPDX-License-Identifier: MIT
// time_channel.h — how the plain convolutional networks learn the time: one more channel of the
// image that is t/1000 at every pixel, whatever T is.
#pragma once
#include <span>

#include "engine/ops.h"

namespace haze::model {

class TimeChannel {
 public:
  explicit TimeChannel(int steps) : steps_(steps) {}
  /// x [N,H,W,C], t [N] i32 in [0,steps) -> [N,H,W,C+1], the time last. x may be released.
  engine::Var operator()(engine::Tape& tape, engine::Var x, const engine::Tensor& t);

 private:
  int steps_;
  engine::Tensor
      table_;  // [steps,1] f32, made at the first use: it lies where the network computes
};

}  // namespace haze::model
