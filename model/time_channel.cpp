// SPDX-License-Identifier: MIT
#include "model/time_channel.h"

#include <vector>

#include "engine/device_tensor.h"

namespace haze::model {

using engine::Var;

Var TimeChannel::operator()(engine::Tape& tape, Var x, const engine::Tensor& t) {
  if (!table_) {
    std::vector<float> values;
    for (int step = 0; step < steps_; ++step) values.push_back(float(step) / 1000.0f);
    table_ = engine::upload(tape.context(), {steps_, 1}, values, engine::Lifetime::run);
  }
  const engine::Shape& image = tape.value(x).shape;
  const Var time = engine::broadcast_pixels(tape, engine::embedding(tape, tape.leaf(table_), t),
                                            image[1], image[2]);
  const Var joined = engine::concat_channels(tape, x, time);
  tape.release(x);
  tape.release(time);
  return joined;
}

}  // namespace haze::model
