// not_yet.cpp — CUDA kernels that are still to be written: they say so.
#include "kernels/adam/adam.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv_transpose2d/conv_transpose2d.h"
#include "kernels/group_norm/group_norm.h"
#include "kernels/matmul/matmul.h"
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
template <> [[gnu::weak]] void conv2d_forward(CudaStream, const Conv2dDims&, ConstAct, ConstAct, const Conv2dSummands&, Act, void*) { not_yet("conv2d_forward"); }
template <> [[gnu::weak]] std::size_t conv2d_forward_scratch_bytes(CudaStream, const Conv2dDims&, DType, const Conv2dSummands&) { not_yet("conv2d_forward_scratch_bytes"); }
template <> [[gnu::weak]] void conv2d_backward_data(CudaStream, const Conv2dDims&, ConstAct, ConstAct, Grad, void*) { not_yet("conv2d_backward_data"); }
template <> [[gnu::weak]] std::size_t conv2d_backward_data_scratch_bytes(CudaStream, const Conv2dDims&, const Grad&) { not_yet("conv2d_backward_data_scratch_bytes"); }
template <> [[gnu::weak]] void conv2d_backward_weights(CudaStream, const Conv2dDims&, ConstAct, ConstAct, const Conv2dWeightGrads&, void*) { not_yet("conv2d_backward_weights"); }
template <> [[gnu::weak]] std::size_t conv2d_backward_weights_scratch_bytes(CudaStream, const Conv2dDims&, DType, const Conv2dWeightGrads&) { not_yet("conv2d_backward_weights_scratch_bytes"); }
template <> [[gnu::weak]] void conv_transpose2d_forward(CudaStream, const ConvTranspose2dDims&, ConstAct, ConstAct, const float*, Act, void*) { not_yet("conv_transpose2d_forward"); }
template <> [[gnu::weak]] std::size_t conv_transpose2d_forward_scratch_bytes(CudaStream, const ConvTranspose2dDims&, DType) { not_yet("conv_transpose2d_forward_scratch_bytes"); }
template <> [[gnu::weak]] void conv_transpose2d_backward_data(CudaStream, const ConvTranspose2dDims&, ConstAct, ConstAct, Grad, void*) { not_yet("conv_transpose2d_backward_data"); }
template <> [[gnu::weak]] std::size_t conv_transpose2d_backward_data_scratch_bytes(CudaStream, const ConvTranspose2dDims&, const Grad&) { not_yet("conv_transpose2d_backward_data_scratch_bytes"); }
template <> [[gnu::weak]] void conv_transpose2d_backward_weights(CudaStream, const ConvTranspose2dDims&, ConstAct, ConstAct, Grad, Grad, void*) { not_yet("conv_transpose2d_backward_weights"); }
template <> [[gnu::weak]] std::size_t conv_transpose2d_backward_weights_scratch_bytes(CudaStream, const ConvTranspose2dDims&, DType, const Grad&, const Grad&) { not_yet("conv_transpose2d_backward_weights_scratch_bytes"); }
template <> [[gnu::weak]] std::size_t group_norm_scratch_bytes(CudaStream, const GroupNormDims&) { not_yet("group_norm_scratch_bytes"); }
template <> [[gnu::weak]] void group_norm_forward(CudaStream, const GroupNormDims&, ConstAct, const float*, const float*, Act, float*, float*, void*) { not_yet("group_norm_forward"); }
template <> [[gnu::weak]] void group_norm_backward(CudaStream, const GroupNormDims&, ConstAct, ConstAct, const float*, const float*, const float*, const float*, Grad, Grad, Grad, void*) { not_yet("group_norm_backward"); }
template <> [[gnu::weak]] void matmul_forward(CudaStream, const MatmulDims&, ConstAct, ConstAct, const float*, ConstAct, Act, void*) { not_yet("matmul_forward"); }
template <> [[gnu::weak]] std::size_t matmul_forward_scratch_bytes(CudaStream, const MatmulDims&, DType, bool, bool) { not_yet("matmul_forward_scratch_bytes"); }
template <> [[gnu::weak]] void matmul_backward_data(CudaStream, const MatmulDims&, ConstAct, ConstAct, Grad, void*) { not_yet("matmul_backward_data"); }
template <> [[gnu::weak]] std::size_t matmul_backward_data_scratch_bytes(CudaStream, const MatmulDims&, const Grad&) { not_yet("matmul_backward_data_scratch_bytes"); }
template <> [[gnu::weak]] void matmul_backward_weights(CudaStream, const MatmulDims&, ConstAct, ConstAct, Grad, Grad, void*) { not_yet("matmul_backward_weights"); }
template <> [[gnu::weak]] std::size_t matmul_backward_weights_scratch_bytes(CudaStream, const MatmulDims&, DType, const Grad&, const Grad&) { not_yet("matmul_backward_weights_scratch_bytes"); }
template <> [[gnu::weak]] void mse(CudaStream, const ItemDims&, ConstAct, const Noise&, float, void*, float*, Act) { not_yet("mse"); }
template <> [[gnu::weak]] void normal_fill(CudaStream, const ItemDims&, const RandomKey&, std::uint32_t, float*) { not_yet("normal_fill"); }
template <> [[gnu::weak]] void q_sample(CudaStream, const ItemDims&, const float*, const std::int32_t*, const NoiseSchedule&, const Noise&, Act) { not_yet("q_sample"); }
template <> [[gnu::weak]] void q_sample_images(CudaStream, const ImageDims&, const std::uint8_t*, const std::int32_t*, const NoiseSchedule&, const ImageDraws&, std::int32_t*, Act) { not_yet("q_sample_images"); }
template <> [[gnu::weak]] void sampler_step(CudaStream, const ItemDims&, const SamplerStep&, const float*, ConstAct, const Noise&, float*, Act) { not_yet("sampler_step"); }
}  // namespace haze::kernels
