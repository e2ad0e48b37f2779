// not_yet.cpp — CUDA kernels that are still to be written: they say so.
#include "kernels/group_norm/group_norm.h"
#include "kernels/common/stream.h"
namespace haze::kernels {
namespace {
[[noreturn]] void not_yet(const char* f) { throw DeviceError(cat(f, ": not yet on cuda")); }
}  // namespace
template <> [[gnu::weak]] std::size_t group_norm_scratch_bytes(CudaStream, const GroupNormDims&) { not_yet("group_norm_scratch_bytes"); }
template <> [[gnu::weak]] void group_norm_forward(CudaStream, const GroupNormDims&, ConstAct, const float*, const float*, Act, float*, float*, void*) { not_yet("group_norm_forward"); }
template <> [[gnu::weak]] void group_norm_backward(CudaStream, const GroupNormDims&, ConstAct, ConstAct, const float*, const float*, const float*, const float*, Grad, Grad, Grad, void*) { not_yet("group_norm_backward"); }
}  // namespace haze::kernels
