// kernel_buffers.h — what the files of kernel_cases share: memory to run a kernel on.
#pragma once
#include <memory>
#include <utility>

#include "engine/kernel_cases.h"
#include "kernels/add/add.h"
#include "kernels/normal_fill/normal_fill.h"

namespace haze::engine {

/// Device memory for a case: normals, in f32 or the type of the activations.
class Buffers {
 public:
  explicit Buffers(Context& context) : context_(context) {}

  Tensor normals(std::size_t n, DType type) {
    Tensor values = raw(n, DType::f32);
    const kernels::ItemDims d{1, int(n)};
    std::visit(
        [&](auto s) {
          kernels::normal_fill(s, d, {1, ++drawn_, 0}, 0, values.f32());
        },
        context_.stream);
    if (type == DType::f32) return values;
    const Tensor half = raw(n, type);
    std::visit(
        [&](auto s) {
          kernels::deliver(s, n, values.in(), {half.raw(), type, kernels::Write::overwrite});
        },
        context_.stream);
    return half;
  }
  Tensor activations(std::size_t n) { return normals(n, context_.activations); }
  Tensor raw(std::size_t n, DType type) {
    Tensor t{Shape{int(n)}, type, nullptr};
    t.storage = memory(t.bytes());
    return t;
  }
  std::shared_ptr<void> memory(std::size_t bytes) {
    if (bytes == 0) return nullptr;
    return std::visit(
        [&](auto s) -> std::shared_ptr<void> {
          void* p = kernels::allocate(s, bytes);
          kernels::zero(s, p, bytes);
          return {p, [s](void* q) { kernels::release(s, q); }};
        },
        context_.stream);
  }

 private:
  Context& context_;
  std::uint32_t drawn_ = 0;
};

inline kernels::Grad overwrite(const Tensor& t) {
  return {t.raw(), t.dtype, kernels::Write::overwrite};
}

using KernelCaseMaker = std::function<KernelCase(Context&, const KernelShape&)>;
/// Those of docs/kernels/diffusion.md.
std::vector<std::pair<std::string, KernelCaseMaker>> diffusion_kernel_cases();

}  // namespace haze::engine
