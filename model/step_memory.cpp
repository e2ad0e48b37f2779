#include "model/step_memory.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "engine/device.h"
#include "model/trainer.h"

namespace haze::model {

using engine::Shape;
using engine::Tensor;

StepMemory::StepMemory(engine::Context& context, int parts)
    : parts_(parts),
      values_(context),
      results_(engine::lasting(context, {parts + 1}, DType::f32)) {}

namespace {

/// The stored images of a set, bytes or f32.
std::span<const std::byte> stored(const ImageBatch& batch) {
  return batch.values.empty() ? std::as_bytes(batch.images) : std::as_bytes(batch.values);
}

std::size_t image_bytes(const ImageBatch& batch) {
  const std::size_t values = Shape({batch.height, batch.width, batch.channels}).size();
  return values * (batch.values.empty() ? sizeof(std::uint8_t) : sizeof(float));
}

/// Where labels lie behind images of so many bytes.
std::size_t labels_at(std::size_t images) { return (images + 255) / 256 * 256; }

}  // namespace

void StepMemory::bind(engine::Context& context, const ImageBatch& batch) {
  const int n = int(batch.index.size());
  const std::size_t image = Shape({batch.height, batch.width, batch.channels}).size();
  const std::size_t all = std::max(batch.images.size(), batch.values.size());
  HAZE_CHECK(n > 0 && image > 0 && all % image == 0, n, " images of ", image, " values from ", all);
  HAZE_CHECK(batch.labels.empty() || batch.labels.size() == all / image, batch.labels.size(),
             " labels of ", all / image, " images");
  bound_ = nullptr;  // until all of it is there
  prefetch_.reset();
  batch_ = images_ = labels_ = {};  // first given back
  resident_ =
      context.resident_data && stored(batch).size() <= engine::free_device_bytes(context) / 2;
  const Shape shape{resident_ ? int(all / image) : n, batch.height, batch.width, batch.channels};
  index_ = engine::lasting(context, {n}, DType::i32);
  times_ = engine::lasting(context, {n}, DType::i32);
  item_loss_ = engine::lasting(context, {n}, DType::f32);
  if (resident_) {
    images_ = batch.values.empty() ? engine::resident(context, shape, batch.images)
                                   : engine::resident(context, shape, batch.values);
    if (batch.labels.empty()) return;
    labels_ = engine::upload(context, {shape[0]}, batch.labels, engine::Lifetime::run);
    return;
  }
  const DType type = batch.values.empty() ? DType::u8 : DType::f32;
  const std::size_t images = shape.size() * size_of(type), labels = labels_at(images);
  const std::size_t bytes =
      batch.labels.empty() ? images : labels + std::size_t(n) * size_of(DType::i32);
  batch_ = engine::lasting(context, {int(bytes)}, DType::u8);
  images_ = batch_.part(0, shape, type);
  if (!batch.labels.empty()) labels_ = batch_.part(labels, {n}, DType::i32);
  prefetch_.emplace(context, bytes);
  sent_.clear();
  std::vector<std::int32_t> order(std::size_t(n), 0);
  std::iota(order.begin(), order.end(), 0);
  engine::overwrite(context, index_, order);
}

void StepMemory::fill(engine::Context& context, std::uint32_t step, const engine::AdamStep& adam) {
  values_.set(context, {adam, step});
}

bool StepMemory::fill(engine::Context& context, std::uint32_t step, const engine::AdamStep& adam,
                      const ImageBatch& batch, std::span<const std::int32_t> times) {
  const std::size_t count = stored(batch).size() / image_bytes(batch);
  for (const auto& index : {batch.index, batch.next})
    for (const std::int32_t i : index)
      HAZE_CHECK(i >= 0 && std::size_t(i) < count, "image ", i, " of ", count);
  const bool moved = bound_ != stored(batch).data() || index_.size() != batch.index.size();
  if (moved) bind(context, batch);
  bound_ = stored(batch).data();
  fill(context, step, adam);
  if (!times.empty()) engine::overwrite(context, times_, times);
  if (resident_) {
    engine::overwrite(context, index_, batch.index);
    return moved;
  }
  if (!std::ranges::equal(sent_, batch.index)) send(batch, batch.index);
  prefetch_->take(batch_);
  return moved;
}

void StepMemory::send_ahead(const ImageBatch& batch) {
  if (prefetch_ && batch.next.size() == batch.index.size()) send(batch, batch.next);
}

void StepMemory::send(const ImageBatch& batch, std::span<const std::int32_t> index) {
  const std::size_t bytes = image_bytes(batch);
  const std::span<std::byte> to = prefetch_->buffer();
  std::byte *image = to.data(), *label = to.data() + labels_at(index.size() * bytes);
  for (const std::int32_t i : index) {
    std::memcpy(image, stored(batch).data() + std::size_t(i) * bytes, bytes);
    image += bytes;
    if (!labels_) continue;
    std::memcpy(label, &batch.labels[std::size_t(i)], sizeof(std::int32_t));
    label += sizeof(std::int32_t);
  }
  prefetch_->send();
  sent_.assign(index.begin(), index.end());
}

Tensor StepMemory::index(int first, int n) const { return engine::rows(index_, first, n); }
Tensor StepMemory::times(int first, int n) const { return engine::rows(times_, first, n); }
Tensor StepMemory::item_loss(int first, int n) const {
  return item_loss_ ? engine::rows(item_loss_, first, n) : Tensor{};
}
Tensor StepMemory::loss(int part) const { return engine::rows(results_, part, 1); }

std::vector<float> StepMemory::results(engine::Context& context) const {
  return engine::download(context, results_);
}

std::vector<float> StepMemory::item_losses(engine::Context& context) const {
  return engine::download(context, item_loss_);
}

}  // namespace haze::model
