#include "engine/tensor.h"

namespace haze::engine {

Shape::Shape(std::initializer_list<int> extents) : Shape(std::vector<int>(extents)) {}

Shape::Shape(const std::vector<int>& extents) {
  HAZE_CHECK(extents.size() <= kMaxRank, "at most ", int(kMaxRank), " extents, got ",
             extents.size());
  for (const int e : extents) {
    HAZE_CHECK(e >= 0, "extent ", e);
    extents_[std::size_t(rank_++)] = e;
  }
}

std::size_t Shape::size() const {
  std::size_t n = 1;
  for (int i = 0; i < rank_; ++i) n *= std::size_t(extents_[std::size_t(i)]);
  return n;
}

std::string Shape::str() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) text += (i ? "," : "") + std::to_string((*this)[i]);
  return text + "]";
}

Tensor Tensor::reshaped(Shape to) const {
  HAZE_CHECK(to.size() == size(), "cannot view ", shape.str(), " as ", to.str());
  Tensor t = *this;
  t.shape = to;
  return t;
}

}  // namespace haze::engine
