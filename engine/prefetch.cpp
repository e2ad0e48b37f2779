// SPDX-License-Identifier: MIT
#include "engine/prefetch.h"

#include <cstring>

#include "engine/device_tensor.h"

namespace haze::engine {

Prefetch::Prefetch(Context& context, std::size_t bytes) : bytes_(bytes) {
  if (plan_of(context))
    planned_ = lasting(context, {int((bytes + 255) / 256), 256}, DType::u8);  // the device's part
  else if (const CudaStream* cuda = cuda_of(context))
    cuda_.emplace(*cuda, bytes);
  else
    here_.resize(bytes);
}

std::span<std::byte> Prefetch::buffer() {
  if (cuda_) return {cuda_->buffer(), bytes_};
  return here_;
}

void Prefetch::send() {
  if (cuda_) cuda_->send();
}

void Prefetch::take(const Tensor& to) {
  HAZE_CHECK(to.bytes() == bytes_, to.shape.str(), " holds ", to.bytes(), " bytes, sent were ",
             bytes_);
  if (planned_) return;
  if (cuda_) return cuda_->take(to.raw());
  std::memcpy(to.raw(), here_.data(), bytes_);
}

}  // namespace haze::engine
