#include "engine/prefetch.h"

#include <cstring>

namespace haze::engine {

Prefetch::Prefetch(Context& context, std::size_t bytes) : bytes_(bytes) {
  if (std::holds_alternative<CpuStream>(context.stream)) here_.resize(bytes);
#if defined(HAZE_CUDA)
  if (const auto* cuda = std::get_if<CudaStream>(&context.stream)) cuda_.emplace(*cuda, bytes);
#endif
}

std::span<std::byte> Prefetch::buffer() {
#if defined(HAZE_CUDA)
  if (cuda_) return {cuda_->buffer(), bytes_};
#endif
  return here_;
}

void Prefetch::send() {
#if defined(HAZE_CUDA)
  if (cuda_) cuda_->send();
#endif
}

void Prefetch::take(const Tensor& to) {
  HAZE_CHECK(to.bytes() == bytes_, to.shape.str(), " holds ", to.bytes(), " bytes, sent were ",
             bytes_);
#if defined(HAZE_CUDA)
  if (cuda_) return cuda_->take(to.raw());
#endif
  std::memcpy(to.raw(), here_.data(), bytes_);
}

}  // namespace haze::engine
