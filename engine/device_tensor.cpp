// SPDX-License-Identifier: MIT
#include "engine/device_tensor.h"

#include <algorithm>

#include "kernels/add/add.h"
#include "kernels/runtime/memory.h"

namespace haze::engine {
namespace {

void check_count(const Shape& shape, std::size_t values) {
  HAZE_CHECK(shape.size() == values, shape.str(), " holds ", shape.size(), " values, got ", values);
}

template <class T>
Tensor upload_values(Context& context, Shape shape, std::span<const T> values, Lifetime lifetime) {
  check_count(shape, values.size());
  const Tensor t = empty(context, shape, dtype_of<T>, lifetime);
  overwrite(context, t, std::as_bytes(values));
  return t;
}

template <class T>
void overwrite_values(const Stream& stream, const Tensor& to, std::span<const T> values) {
  HAZE_CHECK(to.dtype == dtype_of<T>, to.shape.str(), " is ", name_of(to.dtype), ", got ",
             name_of(dtype_of<T>));
  check_count(to.shape, values.size());
  overwrite(stream, to, std::as_bytes(values));
}

template <class T>
Tensor resident_values(const Stream& stream, Shape shape, std::span<const T> values) {
  check_count(shape, values.size());
  if (std::holds_alternative<CpuStream>(stream)) {
    void* here = const_cast<T*>(values.data());  // kernels only read it
    return {shape, dtype_of<T>, std::shared_ptr<void>(std::shared_ptr<void>(), here)};
  }
  const Tensor t = lasting(stream, shape, dtype_of<T>);
  overwrite(stream, t, std::as_bytes(values));
  return t;
}

}  // namespace

Tensor empty(Context& context, Shape shape, DType type, Lifetime lifetime) {
  if (lifetime == Lifetime::run) return lasting(context, shape, type);
  Tensor t{shape, type, nullptr};
  t.storage = context.arena.allocate(t.bytes());
  return t;
}

Tensor lasting(const Stream& stream, Shape shape, DType type) {
  Tensor t{shape, type, nullptr};
  const std::size_t bytes = std::max<std::size_t>(t.bytes(), 1);  // an empty tensor is one too
  t.storage = {take_memory(stream, bytes), [stream](void* p) { give_memory(stream, p); }};
  return t;
}

Tensor zeros(Context& context, Shape shape, DType type, Lifetime lifetime) {
  const Tensor t = empty(context, shape, type, lifetime);
  zero(context, t);
  return t;
}

std::shared_ptr<void> scratch(Context& context, std::size_t bytes) {
  return bytes ? context.arena.allocate(bytes) : nullptr;
}

Tensor upload(Context& context, Shape shape, std::span<const float> values, Lifetime lifetime) {
  return upload_values(context, shape, values, lifetime);
}
Tensor upload(Context& context, Shape shape, std::span<const std::int32_t> values,
              Lifetime lifetime) {
  return upload_values(context, shape, values, lifetime);
}
Tensor upload(Context& context, Shape shape, std::span<const std::uint8_t> values,
              Lifetime lifetime) {
  return upload_values(context, shape, values, lifetime);
}

Tensor resident(const Stream& stream, Shape shape, std::span<const float> values) {
  return resident_values(stream, shape, values);
}
Tensor resident(const Stream& stream, Shape shape, std::span<const std::uint8_t> values) {
  return resident_values(stream, shape, values);
}

Tensor rows(const Tensor& t, int first, int n) {
  HAZE_CHECK(t.shape.rank() >= 1 && first >= 0 && n >= 0 && first + n <= t.shape[0], "rows [",
             first, ',', first + n, ") of ", t.shape.str());
  std::vector<int> extents{n};
  for (int i = 1; i < t.shape.rank(); ++i) extents.push_back(t.shape[i]);
  const std::size_t row = t.shape[0] == 0 ? 0 : t.bytes() / std::size_t(t.shape[0]);
  return t.part(std::size_t(first) * row, Shape(extents), t.dtype);
}

void overwrite(const Stream& stream, const Tensor& to, std::span<const float> values) {
  overwrite_values(stream, to, values);
}
void overwrite(const Stream& stream, const Tensor& to, std::span<const std::int32_t> values) {
  overwrite_values(stream, to, values);
}
void overwrite(const Stream& stream, const Tensor& to, std::span<const std::uint8_t> values) {
  overwrite_values(stream, to, values);
}
void overwrite(const Stream& stream, const Tensor& to, std::span<const std::byte> bytes) {
  HAZE_CHECK(to.bytes() == bytes.size(), to.shape.str(), " holds ", to.bytes(), " bytes, got ",
             bytes.size());
  if (bytes.empty()) return;
  launch(stream, [&](auto s) { kernels::copy_in(s, to.raw(), bytes.data(), bytes.size()); });
}

void copy(const Stream& stream, const Tensor& to, const Tensor& from) {
  HAZE_CHECK(to.bytes() == from.bytes() && to.dtype == from.dtype, from.shape.str(), ' ',
             name_of(from.dtype), " to ", to.shape.str(), ' ', name_of(to.dtype));
  if (to.bytes() == 0) return;
  launch(stream, [&](auto s) { kernels::copy(s, to.raw(), from.raw(), to.bytes()); });
}

void zero(const Stream& stream, const Tensor& to) {
  if (to.bytes() == 0) return;
  launch(stream, [&](auto s) { kernels::zero(s, to.raw(), to.bytes()); });
}

void exchange(const Stream& stream, const Tensor& a, const Tensor& b, std::size_t through) {
  HAZE_CHECK(a.shape == b.shape && a.dtype == b.dtype && through > 0, a.shape.str(), ' ',
             name_of(a.dtype), " with ", b.shape.str(), ' ', name_of(b.dtype), " through ", through,
             " bytes");
  const std::size_t most = std::min(through, a.bytes());
  const Tensor held = lasting(stream, {int(most)}, DType::u8);
  for (std::size_t at = 0; at < a.bytes(); at += most) {
    const Shape bytes{int(std::min(most, a.bytes() - at))};
    const Tensor left = a.part(at, bytes, DType::u8), right = b.part(at, bytes, DType::u8);
    const Tensor kept = held.part(0, bytes, DType::u8);
    copy(stream, kept, left);
    copy(stream, left, right);
    copy(stream, right, kept);
  }
}

void download(const Stream& stream, const Tensor& from, std::span<std::byte> to) {
  HAZE_CHECK(from.bytes() == to.size(), from.shape.str(), " holds ", from.bytes(),
             " bytes, asked for ", to.size());
  if (to.empty()) return;
  if (plan_of(stream)) std::ranges::fill(to, std::byte{});
  launch(stream, [&](auto s) { kernels::copy_out(s, to.data(), from.raw(), to.size()); });
}

std::vector<float> download(const Stream& stream, const Tensor& from) {
  HAZE_CHECK(from.dtype == DType::f32 || from.dtype == DType::bf16, name_of(from.dtype),
             " is not a real type");
  std::vector<float> values(from.size());
  if (from.dtype == DType::f32) {
    download(stream, from, std::as_writable_bytes(std::span(values)));
    return values;
  }
  std::vector<bf16> half(from.size());
  download(stream, from, std::as_writable_bytes(std::span(half)));
  std::ranges::copy(half, values.begin());
  return values;
}

void convert(const Stream& stream, const Tensor& to, const Tensor& from) {
  HAZE_CHECK(to.size() == from.size(), from.shape.str(), " to ", to.shape.str());
  launch(stream, [&](auto s) {
    kernels::deliver(s, from.size(), from.in(), {to.raw(), to.dtype, kernels::Write::overwrite});
  });
}

Tensor converted(Context& context, const Tensor& x, DType type) {
  if (x.dtype == type) return x;
  const Tensor y = empty(context, x.shape, type);
  convert(context, y, x);
  return y;
}

}  // namespace haze::engine
