// SPDX-License-Identifier: MIT
// tensor.h — a shape, an element type and shared storage. Contiguous, row-major; images are NHWC.
#pragma once
#include <array>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/dtype.h"

namespace haze::engine {

/// Up to four extents, without touching the heap. InputError for more than 2^60 elements in all.
class Shape {
 public:
  static constexpr int kMaxRank = 4;
  Shape() = default;
  Shape(std::initializer_list<int> extents);
  explicit Shape(const std::vector<int>& extents);
  int rank() const { return rank_; }
  /// Extent i; negative i counts from the end.
  int operator[](int i) const { return extents_[std::size_t(i < 0 ? i + rank_ : i)]; }
  std::size_t size() const;
  std::string str() const;  // "[64,28,28,32]"
  bool operator==(const Shape&) const = default;

 private:
  std::array<int, kMaxRank> extents_{};
  int rank_ = 0;
};

struct Tensor {
  Shape shape;
  DType dtype = DType::f32;
  std::shared_ptr<void> storage;  // owner of the memory; points at element 0

  explicit operator bool() const { return storage != nullptr; }
  std::size_t size() const { return shape.size(); }
  std::size_t bytes() const { return size() * size_of(dtype); }
  void* raw() const { return storage.get(); }
  float* f32() const { return typed<float>(); }
  std::int32_t* i32() const { return typed<std::int32_t>(); }
  kernels::Act act() const { return {raw(), dtype}; }
  kernels::ConstAct in() const { return {raw(), dtype}; }
  /// The same elements under another shape of the same size; shares storage.
  Tensor reshaped(Shape to) const;
  /// A tensor over part of this one's memory, from byte `at` on; shares storage.
  Tensor part(std::size_t at, Shape of_shape, DType of_type) const;

 private:
  template <class T>
  T* typed() const {
    HAZE_CHECK(dtype == dtype_of<T>, "tensor ", shape.str(), " holds ", name_of(dtype));
    return static_cast<T*>(raw());
  }
};

}  // namespace haze::engine
