// SPDX-License-Identifier: MIT
// device.h — tensors of test::device() read and written from the host.
#pragma once
#include "engine/device_tensor.h"
#include "tests/support/test.h"

namespace haze::test {

/// The elements of an f32, bf16 or i32 tensor.
template <class T = float>
std::vector<T> read(const engine::Tensor& t) {
  EXPECT_EQ(t.dtype, dtype_of<T>);
  std::vector<T> v(t.size());
  engine::download(device(), t, std::as_writable_bytes(std::span(v)));
  return v;
}

template <class T>
void write(const engine::Tensor& t, const std::vector<T>& v) {
  ASSERT_EQ(t.bytes(), v.size() * sizeof(T));
  engine::overwrite(device(), t, std::as_bytes(std::span(v)));
}

inline void fill(const engine::Tensor& t, float value) {
  write(t, std::vector<float>(t.size(), value));
}

/// Element i of an f32 tensor.
inline float at(const engine::Tensor& t, std::size_t i) { return read(t)[i]; }
inline void set(const engine::Tensor& t, std::size_t i, float value) {
  auto v = read(t);
  v[i] = value;
  write(t, v);
}

}  // namespace haze::test
