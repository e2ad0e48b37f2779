// SPDX-License-Identifier: MIT
#include "model/device_dataset.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "engine/device.h"
#include "kernels/base/sizes.h"

namespace haze::model {

using engine::Shape;
using engine::Tensor;

namespace {

/// Where labels lie behind images of so many bytes.
std::size_t labels_at(std::size_t images) { return (images + 255) / 256 * 256; }

bool fits(const engine::Context& context, const ImageSet& set) {
  return context.resident_data && set.bytes().size() <= engine::free_device_bytes(context) / 2;
}

}  // namespace

DeviceDataset::DeviceDataset(engine::Context& context, const ImageSet& set, int n)
    : set_(set), resident_(fits(context, set)) {
  const std::size_t image = set.image_size();
  const std::size_t all = std::max(set.images.size(), set.values.size());
  HAZE_CHECK(n > 0 && image > 0 && all % image == 0, n, " images of ", image, " values from ", all);
  HAZE_CHECK(set.labels.empty() || set.labels.size() == set.count(), set.labels.size(),
             " labels of ", set.count(), " images");
  const Shape shape{resident_ ? int(set.count()) : n, set.height, set.width, set.channels};
  index_ = engine::lasting(context, {n}, DType::i32);
  if (resident_) {
    images_ = set.is_numbers() ? engine::resident(context, shape, set.values)
                               : engine::resident(context, shape, set.images);
    if (!set.labels.empty())
      labels_ = engine::upload(context, {shape[0]}, set.labels, engine::Lifetime::run);
    return;
  }
  const DType type = set.is_numbers() ? DType::f32 : DType::u8;
  const std::size_t images = shape.size() * size_of(type), labels = labels_at(images);
  const std::size_t last =
      set.labels.empty() ? images : labels + std::size_t(n) * size_of(DType::i32);
  constexpr int kRow = 256;  // a batch may have more bytes than an extent can say
  const int rows = checked_int("rows of 256 bytes in a batch", {(last + kRow - 1) / kRow});
  batch_ = engine::lasting(context, {rows, kRow}, DType::u8);
  const std::size_t bytes = batch_.bytes();
  images_ = batch_.part(0, shape, type);
  if (!set.labels.empty()) labels_ = batch_.part(labels, {n}, DType::i32);
  prefetch_.emplace(context, bytes);
  std::vector<std::int32_t> order(std::size_t(n), 0);
  std::iota(order.begin(), order.end(), 0);
  engine::overwrite(context, index_, order);
}

void DeviceDataset::check(std::span<const std::int32_t> index) const {
  for (const std::int32_t i : index)
    HAZE_CHECK(i >= 0 && std::size_t(i) < set_.count(), "image ", i, " of ", set_.count());
}

void DeviceDataset::select(engine::Context& context, std::span<const std::int32_t> index) {
  HAZE_CHECK(int(index.size()) == batch(), index.size(), " images, for a batch of ", batch());
  check(index);
  if (resident_) return engine::overwrite(context, index_, index);
  if (!std::ranges::equal(sent_, index)) send(index);
  prefetch_->take(batch_);
}

void DeviceDataset::send_ahead(std::span<const std::int32_t> next) {
  if (!resident_ && int(next.size()) == batch()) send(next);
}

void DeviceDataset::send(std::span<const std::int32_t> index) {
  if (prefetch_->buffer().empty()) return;  // planned
  const std::size_t bytes = set_.image_bytes();
  const std::span<std::byte> to = prefetch_->buffer();
  std::byte *image = to.data(), *label = to.data() + labels_at(index.size() * bytes);
  for (const std::int32_t i : index) {
    std::memcpy(image, set_.bytes().data() + std::size_t(i) * bytes, bytes);
    image += bytes;
    if (!labels_) continue;
    std::memcpy(label, &set_.labels[std::size_t(i)], sizeof(std::int32_t));
    label += sizeof(std::int32_t);
  }
  prefetch_->send();
  sent_.assign(index.begin(), index.end());
}

}  // namespace haze::model
