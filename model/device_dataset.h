// SPDX-License-Identifier: MIT
// device_dataset.h — a data set on the device, from which each step's batch is gathered: as a whole
// where it fits, else the images of one step after another, sent while the device computes.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "engine/device_tensor.h"
#include "engine/prefetch.h"
#include "model/image_set.h"

namespace haze::model {

/// What kernels read keeps its address from the constructor on, so a captured step may use it.
class DeviceDataset {
 public:
  /// For batches of n images. A set that takes at most half of the memory that is free lies on the
  /// device as a whole (Context::resident_data false: never); of a larger one each batch is sent.
  /// `set` is used in place: it stays where it is. CheckError for sizes that do not fit together.
  DeviceDataset(engine::Context& context, const ImageSet& set, int n);

  /// Row k of the batch becomes image index[k], in stream order. CheckError unless index has n
  /// entries within the set.
  void select(engine::Context& context, std::span<const std::int32_t> index);
  /// Where images are sent: gathers and sends those of the next batch, if it has n. Called when a
  /// step has been launched, it works while the device computes.
  void send_ahead(std::span<const std::int32_t> next);
  /// CheckError for an index outside of the set.
  void check(std::span<const std::int32_t> index) const;

  /// The images to gather from, [M or n,H,W,C], and which of them rows [first, first + n) are.
  const engine::Tensor& images() const { return images_; }
  engine::Tensor index(int first, int n) const { return engine::rows(index_, first, n); }
  /// All labels, counted as index() counts; empty where the set has none.
  const engine::Tensor& labels() const { return labels_; }

  int batch() const { return int(index_.size()); }
  bool zero_to_one() const { return set_.zero_to_one; }
  /// The set lies on the device as a whole.
  bool resident() const { return resident_; }

 private:
  void send(std::span<const std::int32_t> index);

  ImageSet set_;
  bool resident_;
  engine::Tensor images_, index_, labels_;
  // Of a set that is sent: the batch on the device (images_ and behind them labels_), the way
  // there, and which images were sent last.
  engine::Tensor batch_;
  std::optional<engine::Prefetch> prefetch_;
  std::vector<std::int32_t> sent_;
};

}  // namespace haze::model
