#include "model/step_memory.h"

#include <cstddef>
#include <numeric>

#include "model/trainer.h"

namespace haze::model {

using engine::Shape;
using engine::Tensor;

namespace {

struct Values {
  engine::AdamStep adam;
  std::uint32_t step;
};

template <class T>
T* at(const Tensor& bytes, std::size_t offset) {
  return reinterpret_cast<T*>(static_cast<char*>(bytes.raw()) + offset);
}

/// Tensor over elements [first, first + n) of a vector.
Tensor range(const Tensor& t, int first, int n) {
  char* p = static_cast<char*>(t.raw()) + std::size_t(first) * size_of(t.dtype);
  return {Shape{n}, t.dtype, std::shared_ptr<void>(t.storage, p)};
}

}  // namespace

StepMemory::StepMemory(engine::Context& context, int parts)
    : parts_(parts),
      values_(engine::lasting(context, {int(sizeof(Values))}, DType::u8)),
      results_(engine::lasting(context, {parts + 1}, DType::f32)) {}

/// A data set that takes at most half of what is free on the device lies there as a whole; of a
/// larger one each step's images are sent.
void StepMemory::bind(engine::Context& context, const ImageBatch& batch) {
  const int n = int(batch.index.size());
  const std::size_t image = Shape({batch.height, batch.width, batch.channels}).size();
  HAZE_CHECK(n > 0 && image > 0 && batch.images.size() % image == 0, n, " images of ", image,
             " bytes from ", batch.images.size());
  bound_ = batch.images.data();
  resident_ = batch.images.size() <= engine::free_device_bytes(context) / 2;
  const int count = resident_ ? int(batch.images.size() / image) : n;
  images_ = {};  // first given back
  images_ =
      resident_
          ? engine::resident(context, {count, batch.height, batch.width, batch.channels},
                             batch.images)
          : engine::lasting(context, {n, batch.height, batch.width, batch.channels}, DType::u8);
  index_ = engine::lasting(context, {n}, DType::i32);
  if (resident_) return;
  std::vector<std::int32_t> order(std::size_t(n), 0);
  std::iota(order.begin(), order.end(), 0);
  engine::overwrite(context, index_, std::as_bytes(std::span(order)));
}

void StepMemory::fill(engine::Context& context, std::uint32_t step, const engine::AdamStep& adam) {
  const Values values{adam, step};
  engine::overwrite(context, values_, std::as_bytes(std::span(&values, 1)));
}

bool StepMemory::fill(engine::Context& context, std::uint32_t step, const engine::AdamStep& adam,
                      const ImageBatch& batch) {
  const std::size_t image = Shape({batch.height, batch.width, batch.channels}).size();
  for (const std::int32_t i : batch.index)
    HAZE_CHECK(i >= 0 && std::size_t(i) < batch.images.size() / image, "image ", i, " of ",
               batch.images.size() / image);
  const bool moved = bound_ != batch.images.data() || index_.size() != batch.index.size();
  if (moved) bind(context, batch);
  fill(context, step, adam);
  if (resident_) {
    engine::overwrite(context, index_, std::as_bytes(batch.index));
    return moved;
  }
  rows_.clear();
  for (const std::int32_t i : batch.index) {
    const auto row = batch.images.subspan(std::size_t(i) * image, image);
    rows_.insert(rows_.end(), row.begin(), row.end());
  }
  engine::overwrite(context, images_, std::as_bytes(std::span(rows_)));
  return moved;
}

const std::uint32_t* StepMemory::step() const {
  return at<const std::uint32_t>(values_, offsetof(Values, step));
}
const engine::AdamStep* StepMemory::adam() const {
  return at<const engine::AdamStep>(values_, offsetof(Values, adam));
}
Tensor StepMemory::index(int first, int n) const { return range(index_, first, n); }
Tensor StepMemory::loss(int part) const { return range(results_, part, 1); }

std::vector<float> StepMemory::results(engine::Context& context) const {
  return engine::Tape(context, false).to_host(results_);
}

}  // namespace haze::model
