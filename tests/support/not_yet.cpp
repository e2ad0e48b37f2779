// not_yet.cpp — CUDA kernels that are still to be written: they say so.
#include "kernels/adam/adam.h"
#include "kernels/group_norm/group_norm.h"
#include "kernels/mse/mse.h"
#include "kernels/normal_fill/normal_fill.h"
#include "kernels/q_sample/q_sample.h"
#include "kernels/sampler_step/sampler_step.h"
#include "kernels/common/stream.h"
namespace haze::kernels {
namespace {
[[noreturn]] void not_yet(const char* f) { throw DeviceError(cat(f, ": not yet on cuda")); }
}  // namespace
template <> [[gnu::weak]] void global_norm(CudaStream, std::size_t, const float*, void*, float*) { not_yet("global_norm"); }
template <> [[gnu::weak]] void adam_step(CudaStream, std::size_t, const AdamStep&, const AdamBuffers&, const float*) { not_yet("adam_step"); }
template <> [[gnu::weak]] std::size_t group_norm_scratch_bytes(CudaStream, const GroupNormDims&) { not_yet("group_norm_scratch_bytes"); }
template <> [[gnu::weak]] void group_norm_forward(CudaStream, const GroupNormDims&, ConstAct, const float*, const float*, Act, float*, float*, void*) { not_yet("group_norm_forward"); }
template <> [[gnu::weak]] void group_norm_backward(CudaStream, const GroupNormDims&, ConstAct, ConstAct, const float*, const float*, const float*, const float*, Grad, Grad, Grad, void*) { not_yet("group_norm_backward"); }
template <> [[gnu::weak]] void mse(CudaStream, const ItemDims&, ConstAct, const Noise&, float, void*, float*, Act) { not_yet("mse"); }
template <> [[gnu::weak]] void normal_fill(CudaStream, const ItemDims&, const RandomKey&, std::uint32_t, float*) { not_yet("normal_fill"); }
template <> [[gnu::weak]] void q_sample(CudaStream, const ItemDims&, const float*, const std::int32_t*, const NoiseSchedule&, const Noise&, Act) { not_yet("q_sample"); }
template <> [[gnu::weak]] void q_sample_images(CudaStream, const ImageDims&, const std::uint8_t*, const std::int32_t*, const NoiseSchedule&, const ImageDraws&, std::int32_t*, Act) { not_yet("q_sample_images"); }
template <> [[gnu::weak]] void sampler_step(CudaStream, const ItemDims&, const SamplerStep&, const float*, ConstAct, const Noise&, float*, Act) { not_yet("sampler_step"); }
}  // namespace haze::kernels
