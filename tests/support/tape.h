// SPDX-License-Identifier: MIT
// tape.h — test helpers on the tape: leaves from doubles, values and gradients back as doubles.
#pragma once
#include "engine/device_tensor.h"
#include "engine/ops.h"
#include "tests/support/test.h"

namespace haze::test {

/// A tensor of the given type on the tape's device.
inline engine::Tensor to_tensor(const engine::Tape& tape, engine::Shape shape,
                                const std::vector<double>& v, DType type = DType::f32) {
  const std::vector<float> values(v.begin(), v.end());
  const engine::Tensor wide = engine::upload(tape.context(), shape, values);
  if (type == DType::f32) return wide;
  std::vector<bf16> half;
  for (const float f : values) half.emplace_back(f);
  const engine::Tensor t = tape.empty(shape, DType::bf16);
  engine::overwrite(tape.context(), t, std::as_bytes(std::span(half)));
  return t;
}

inline engine::Tensor to_tensor_i32(const engine::Tape& tape, const std::vector<int>& v) {
  return engine::upload(tape.context(), {int(v.size())}, v);
}

inline engine::Var leaf(engine::Tape& tape, engine::Shape shape, const std::vector<double>& v,
                        bool needs_grad = true, DType type = DType::f32) {
  return tape.leaf(to_tensor(tape, shape, v, type), needs_grad);
}

inline std::vector<double> values(const engine::Tape& tape, const engine::Tensor& t) {
  const auto f = engine::download(tape.context(), t);
  return {f.begin(), f.end()};
}
inline std::vector<double> value_of(const engine::Tape& tape, engine::Var v) {
  return values(tape, tape.value(v));
}
inline std::vector<double> grad_of(const engine::Tape& tape, engine::Var v) {
  return values(tape, tape.grad(v));
}

/// Expects f() to throw CheckError with `text` in its message.
template <class F>
void expect_check(F f, const std::string& text) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown; expected a check that says: " << text;
  } catch (const CheckError& e) {
    EXPECT_THAT(std::string(e.what()), testing::HasSubstr(text));
  }
}

}  // namespace haze::test
