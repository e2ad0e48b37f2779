// SPDX-License-Identifier: MIT
#include "engine/tensor.h"

#include <span>

#include "kernels/base/sizes.h"
#include "kernels/base/text.h"

namespace haze::engine {

Shape::Shape(std::initializer_list<int> extents) : Shape(std::vector<int>(extents)) {}

Shape::Shape(const std::vector<int>& extents) {
  HAZE_CHECK(extents.size() <= kMaxRank, "at most ", int(kMaxRank), " extents, got ",
             extents.size());
  for (const int e : extents) {
    HAZE_CHECK(e >= 0, "extent ", e);
    extents_[std::size_t(rank_++)] = e;
  }
  constexpr std::uint64_t kMost = std::uint64_t(1) << 60;  // its bytes are a size too
  const auto extent = [&](int i) {
    return std::uint64_t(i < rank_ ? extents_[std::size_t(i)] : 1);
  };
  if (!product_within({extent(0), extent(1), extent(2), extent(3)}, kMost))
    throw InputError(cat("a tensor of ", str(), "; at most 2^60 values are possible"));
}

std::size_t Shape::size() const {
  std::size_t n = 1;
  for (int i = 0; i < rank_; ++i) n *= std::size_t(extents_[std::size_t(i)]);
  return n;
}

std::string Shape::str() const { return shape_text(std::span(extents_).first(std::size_t(rank_))); }

Tensor Tensor::reshaped(Shape to) const {
  HAZE_CHECK(to.size() == size(), "cannot view ", shape.str(), " as ", to.str());
  Tensor t = *this;
  t.shape = to;
  return t;
}

Tensor Tensor::part(std::size_t at, Shape of_shape, DType of_type) const {
  Tensor t{of_shape, of_type, nullptr};
  HAZE_CHECK(at % size_of(of_type) == 0 && at + t.bytes() <= bytes(), of_shape.str(), ' ',
             name_of(of_type), " at byte ", at, " of ", bytes());
  t.storage = {storage, static_cast<char*>(raw()) + at};
  return t;
}

}  // namespace haze::engine
