// kernel_buffers.h — what the files of kernel_cases share: memory to run a kernel on, and the table
// that names the cases.
#pragma once
#include <concepts>
#include <memory>
#include <utility>

#include "engine/bench/kernel_cases.h"
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
  /// 0, 1, ... below - 1, and again.
  Tensor indices(std::size_t n, int below) {
    std::vector<std::int32_t> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = std::int32_t(i % std::size_t(below));
    const Tensor t = raw(n, DType::i32);
    std::visit([&](auto s) { kernels::copy_in(s, t.raw(), values.data(), t.bytes()); },
               context_.stream);
    return t;
  }
  /// Zeros.
  Tensor raw(std::size_t n, DType type) {
    Tensor t{Shape{int(n)}, type, nullptr};
    t.storage = memory(t.bytes());
    return t;
  }
  /// Zeros; null for 0 bytes.
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

/// f(the context's stream) as something to run.
template <class F>
std::function<void()> on(const Context& context, F f) {
  return std::visit([&](auto s) -> std::function<void()> { return [s, f] { f(s); }; },
                    context.stream);
}

template <class S>
concept OnCuda = std::same_as<S, CudaStream>;

/// A row of the table of cases.
struct KernelCaseMaker {
  std::string name;
  std::function<KernelCase(Context&, const KernelShape&)> make;
  std::vector<std::string> earlier = {};  // CUDA versions that the case has as peers on cuda
};
/// Convolutions, matrix products, attention: what multiplies.
std::vector<KernelCaseMaker> product_kernel_cases();
/// What normalises, activates or rearranges images.
std::vector<KernelCaseMaker> image_kernel_cases();
/// Those of docs/kernels/diffusion.md.
std::vector<KernelCaseMaker> diffusion_kernel_cases();
/// Times, labels and the loss of a classifier.
std::vector<KernelCaseMaker> label_kernel_cases();

}  // namespace haze::engine
