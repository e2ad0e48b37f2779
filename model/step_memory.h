// step_memory.h — what changes from one training step to the next, at fixed addresses in device
// memory: the step's number, Adam's coefficients, which images, and the results. Because they lie
// there, a step can be captured once and replayed (engine/replay.h).
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "engine/adam.h"
#include "engine/device_tensor.h"
#include "engine/prefetch.h"

namespace haze::model {

struct ImageBatch;

class StepMemory {
 public:
  /// `parts`: in how many pieces a batch is computed, each with a loss of its own.
  StepMemory(engine::Context& context, int parts);

  /// For step `step` of `batch`, with its times [N] if they are not drawn on the device. True if
  /// addresses are not those of the last call: what was captured from them is void.
  ///
  /// A data set that takes at most half of the memory that is free at the first call lies on the
  /// device as a whole; of a larger one each step's images are sent.
  bool fill(engine::Context& context, std::uint32_t step, const engine::AdamStep& adam,
            const ImageBatch& batch, std::span<const std::int32_t> times = {});
  /// The same without images.
  void fill(engine::Context& context, std::uint32_t step, const engine::AdamStep& adam);
  /// If images have to be sent, gathers and sends those of `batch.next`: called when a step has
  /// been launched, it does so while the device computes.
  void send_ahead(const ImageBatch& batch);

  const std::uint32_t* step() const { return &values_.on_device()->step; }
  const engine::AdamStep* adam() const { return &values_.on_device()->adam; }
  /// The images to gather from and, for rows [first, first + n) of the batch, which.
  const engine::Tensor& images() const { return images_; }
  engine::Tensor index(int first, int n) const;
  /// All labels of the set, as index() counts; empty without any.
  const engine::Tensor& labels() const { return labels_; }
  /// The given times of rows [first, first + n), and where their losses go; after fill() with
  /// times.
  engine::Tensor times(int first, int n) const;
  engine::Tensor item_loss(int first, int n) const;
  std::vector<float> item_losses(engine::Context& context) const;
  /// Where the results go: the loss of each part, then the norm of the gradient. [1] f32 each.
  engine::Tensor loss(int part) const;
  engine::Tensor grad_norm() const { return loss(parts_); }
  /// Reads them: losses of the parts, then the norm. Waits for the device.
  std::vector<float> results(engine::Context& context) const;

  /// The data set lies on the device as a whole.
  bool resident() const { return resident_; }

 private:
  struct Values {
    engine::AdamStep adam;
    std::uint32_t step;
  };
  void bind(engine::Context& context, const ImageBatch& batch);
  void send(const ImageBatch& batch, std::span<const std::int32_t> index);

  int parts_;
  engine::DeviceValue<Values> values_;
  engine::Tensor results_;  // [parts + 1] f32
  engine::Tensor images_, index_, labels_, times_, item_loss_;
  const void* bound_ = nullptr;  // the data set that images_ is or is gathered from
  bool resident_ = false;
  // Of a data set that is not resident: the batch on the device, images_ and behind them labels_;
  // the way there; and which images were sent last.
  engine::Tensor batch_;
  std::optional<engine::Prefetch> prefetch_;
  std::vector<std::int32_t> sent_;
};

}  // namespace haze::model
