// SPDX-License-Identifier: MIT
#include "engine/prefetch.h"

#include <cstring>

namespace haze::engine {

Prefetch::Prefetch(Context& context, std::size_t bytes) : bytes_(bytes) {
  if (const CudaStream* cuda = cuda_of(context))
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
  if (cuda_) return cuda_->take(to.raw());
  std::memcpy(to.raw(), here_.data(), bytes_);
}

}  // namespace haze::engine
