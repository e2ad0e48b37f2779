#include "model/step_memory.h"

#include <algorithm>
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

namespace {

/// The stored images of a set, bytes or f32.
std::span<const std::byte> stored(const ImageBatch& batch) {
  return batch.values.empty() ? std::as_bytes(batch.images) : std::as_bytes(batch.values);
}

}  // namespace

/// A data set that takes at most half of what is free on the device lies there as a whole; of a
/// larger one each step's images are sent.
void StepMemory::bind(engine::Context& context, const ImageBatch& batch) {
  const int n = int(batch.index.size());
  const std::size_t image = Shape({batch.height, batch.width, batch.channels}).size();
  const std::size_t all = std::max(batch.images.size(), batch.values.size());
  HAZE_CHECK(n > 0 && image > 0 && all % image == 0, n, " images of ", image, " values from ", all);
  HAZE_CHECK(batch.labels.empty() || batch.labels.size() == all / image, batch.labels.size(),
             " labels of ", all / image, " images");
  bound_ = stored(batch).data();
  resident_ = stored(batch).size() <= engine::free_device_bytes(context) / 2;
  const Shape shape{resident_ ? int(all / image) : n, batch.height, batch.width, batch.channels};
  images_ = {};  // first given back
  if (!resident_)
    images_ = engine::lasting(context, shape, batch.values.empty() ? DType::u8 : DType::f32);
  else if (batch.values.empty())
    images_ = engine::resident(context, shape, batch.images);
  else
    images_ = engine::resident(context, shape, batch.values);
  index_ = engine::lasting(context, {n}, DType::i32);
  times_ = engine::lasting(context, {n}, DType::i32);
  item_loss_ = engine::lasting(context, {n}, DType::f32);
  labels_ = {};
  if (!batch.labels.empty()) labels_ = engine::lasting(context, {shape[0]}, DType::i32);
  if (labels_ && resident_) engine::overwrite(context, labels_, std::as_bytes(batch.labels));
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
                      const ImageBatch& batch, std::span<const std::int32_t> times) {
  const std::size_t image = Shape({batch.height, batch.width, batch.channels}).size();
  const auto all = stored(batch);
  const std::size_t bytes = image * (batch.values.empty() ? 1 : sizeof(float));
  for (const std::int32_t i : batch.index)
    HAZE_CHECK(i >= 0 && std::size_t(i) < all.size() / bytes, "image ", i, " of ",
               all.size() / bytes);
  const bool moved = bound_ != all.data() || index_.size() != batch.index.size();
  if (moved) bind(context, batch);
  fill(context, step, adam);
  if (!times.empty()) engine::overwrite(context, times_, std::as_bytes(times));
  if (resident_) {
    engine::overwrite(context, index_, std::as_bytes(batch.index));
    return moved;
  }
  rows_.clear();
  std::vector<std::int32_t> labels;
  for (const std::int32_t i : batch.index) {
    const auto row = all.subspan(std::size_t(i) * bytes, bytes);
    rows_.insert(rows_.end(), row.begin(), row.end());
    if (labels_) labels.push_back(batch.labels[std::size_t(i)]);
  }
  engine::overwrite(context, images_, rows_);
  if (labels_) engine::overwrite(context, labels_, std::as_bytes(std::span(labels)));
  return moved;
}

const std::uint32_t* StepMemory::step() const {
  return at<const std::uint32_t>(values_, offsetof(Values, step));
}
const engine::AdamStep* StepMemory::adam() const {
  return at<const engine::AdamStep>(values_, offsetof(Values, adam));
}
Tensor StepMemory::index(int first, int n) const { return range(index_, first, n); }
Tensor StepMemory::times(int first, int n) const { return range(times_, first, n); }
Tensor StepMemory::item_loss(int first, int n) const { return range(item_loss_, first, n); }
Tensor StepMemory::loss(int part) const { return range(results_, part, 1); }

std::vector<float> StepMemory::results(engine::Context& context) const {
  return engine::Tape(context, false).to_host(results_);
}

std::vector<float> StepMemory::item_losses(engine::Context& context) const {
  return engine::Tape(context, false).to_host(item_loss_);
}

}  // namespace haze::model
