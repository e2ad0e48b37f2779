// SPDX-License-Identifier: MIT
// kernel_buffers.h — what the files of kernel_cases share: memory to run a kernel on, and the table
// that names the cases.
#pragma once
#include <concepts>
#include <memory>
#include <utility>

#include "engine/bench/kernel_cases.h"
#include "engine/device_tensor.h"
#include "kernels/normal_fill/normal_fill.h"

namespace haze::engine {

/// Device memory for a case: normals, in f32 or the type of the activations.
class Buffers {
 public:
  explicit Buffers(Context& context) : context_(context) {}

  Tensor normals(std::size_t n, DType type) {
    const Tensor values = raw(n, DType::f32);
    const kernels::ItemDims d{1, int(n)};
    context_.run([&](auto s) { kernels::normal_fill(s, d, {1, ++drawn_, 0}, 0, values.f32()); });
    if (type == DType::f32) return values;
    const Tensor half = raw(n, type);
    convert(context_, half, values);
    return half;
  }
  Tensor activations(std::size_t n) { return normals(n, context_.activations); }
  /// 0, 1, ... below - 1, and again.
  Tensor indices(std::size_t n, int below) {
    std::vector<std::int32_t> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = std::int32_t(i % std::size_t(below));
    return upload(context_, {int(n)}, values, Lifetime::run);
  }
  /// Zeros.
  Tensor raw(std::size_t n, DType type) { return zeros(context_, {int(n)}, type, Lifetime::run); }
  /// Zeros; null for 0 bytes.
  std::shared_ptr<void> memory(std::size_t bytes) {
    constexpr std::size_t kRow = 256;  // more bytes than an extent can say
    if (bytes == 0) return nullptr;
    const Shape shape{int((bytes + kRow - 1) / kRow), int(kRow)};
    return zeros(context_, shape, DType::u8, Lifetime::run).storage;
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
  return context.run([&](auto s) -> std::function<void()> { return [s, f] { f(s); }; });
}

template <class S>
concept OnCuda = std::same_as<S, CudaStream>;

/// What a shape's letters are to most kernels.
inline constexpr const char* kImages = "images [n,h,h,c]";

/// A row of the table of cases.
struct KernelCaseMaker {
  std::string name;
  std::function<KernelCase(Context&, const KernelShape&)> make;
  std::vector<std::string> earlier = {};  // CUDA versions that the case has as peers on cuda
  std::string reading = kImages;          // what a shape's letters are to it
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
