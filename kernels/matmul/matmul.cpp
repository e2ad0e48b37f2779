// SPDX-License-Identifier: MIT
// matmul.cpp — CPU backend: oneDNN's matmul on the plain row-major matrices, transposed by stride,
// so that weights are never copied; the column sums of dy are an own loop.
#include "kernels/matmul/matmul.h"

#include <unordered_map>

#include "kernels/base/stream.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/onednn.h"

namespace haze::kernels {
namespace {

using dnnl::memory;
using onednn::Carver;

/// c [m,n] (+)= a [m,k] b [k,n] + bias [n] + summand [m,n], a and b perhaps stored transposed.
struct Key {
  int m, k, n;
  DType type, result;
  bool a_transposed, b_transposed, bias, summand, adds;
  auto operator<=>(const Key&) const = default;
};

memory::desc matrix(int rows, int columns, DType type, bool transposed) {
  return {{rows, columns},
          onednn::type_of(type),
          transposed ? memory::format_tag::ba : memory::format_tag::ab};
}

struct Product {
  memory::desc a, b, c, bias;
  dnnl::matmul::primitive_desc pd;
  dnnl::matmul primitive;

  explicit Product(const Key& k)
      : a(matrix(k.m, k.k, k.type, k.a_transposed)),
        b(matrix(k.k, k.n, k.type, k.b_transposed)),
        c(matrix(k.m, k.n, k.result, false)),
        bias(k.bias ? matrix(1, k.n, DType::f32, false) : memory::desc()),
        pd(describe(k)),
        primitive(pd) {}

  dnnl::matmul::primitive_desc describe(const Key& k) const {
    dnnl::primitive_attr attr = onednn::user_scratchpad();
    dnnl::post_ops post;
    if (k.summand) post.append_binary(dnnl::algorithm::binary_add, c);
    if (k.adds) post.append_sum(1.f);
    attr.set_post_ops(post);
    return onednn::describe<dnnl::matmul>(attr, a, b, bias, c);
  }

  void run(const void* a_data, const void* b_data, void* c_data, void* pad,
           const float* bias_data = nullptr, const void* summand = nullptr) {
    std::unordered_map<int, memory> args{
        {DNNL_ARG_SRC, onednn::wrap(a, a_data)},
        {DNNL_ARG_WEIGHTS, onednn::wrap(b, b_data)},
        {DNNL_ARG_DST, onednn::wrap(c, c_data)},
        {DNNL_ARG_SCRATCHPAD, onednn::wrap(pd.scratchpad_desc(), pad)}};
    if (bias_data) args.emplace(DNNL_ARG_BIAS, onednn::wrap(bias, bias_data));
    if (summand)
      args.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, onednn::wrap(c, summand));
    onednn::execute(primitive, args);
  }
};

Product& product(const Key& key) {
  static onednn::Cache<Key, Product> cache;
  return cache.get(key, [](const Key& k) { return Product(k); });
}

Product& forward(const MatmulDims& d, DType type, bool bias, bool residual) {
  return product({d.rows, d.in, d.out, type, type, false, true, bias, residual, false});
}
Product& backward_data(const MatmulDims& d, const Grad& dx) {
  return product({d.rows, d.out, d.in, dx.dtype, dx.dtype, false, false, false, false, dx.adds()});
}
Product& backward_weights(const MatmulDims& d, DType type, const Grad& dw) {
  return product({d.out, d.rows, d.in, type, dw.dtype, true, false, false, false, dw.adds()});
}

struct WeightScratch : Carver {
  void *pad = nullptr, *sums = nullptr;
  WeightScratch(void* base, const MatmulDims& d, DType type, const Grad& dw, const Grad& dbias)
      : Carver(base) {
    if (dw) pad = take(backward_weights(d, type, dw).pd.scratchpad_desc().get_size());
    if (dbias) sums = take(loops::kChunks * std::size_t(d.out) * sizeof(float));
  }
};

}  // namespace

template <>
std::size_t matmul_forward_scratch_bytes(CpuStream, const MatmulDims& d, DType type, bool with_bias,
                                         bool with_residual) {
  return forward(d, type, with_bias, with_residual).pd.scratchpad_desc().get_size();
}

template <>
void matmul_forward(CpuStream, const MatmulDims& d, ConstAct x, ConstAct w, const float* bias,
                    ConstAct residual, Act y, void* scratch) {
  forward(d, y.dtype, bias != nullptr, bool(residual))
      .run(x.data, w.data, y.data, scratch, bias, residual.data);
}

template <>
std::size_t matmul_backward_data_scratch_bytes(CpuStream, const MatmulDims& d, const Grad& dx) {
  return backward_data(d, dx).pd.scratchpad_desc().get_size();
}

template <>
void matmul_backward_data(CpuStream, const MatmulDims& d, ConstAct dy, ConstAct w, Grad dx,
                          void* scratch) {
  HAZE_CHECK(dy.dtype == dx.dtype, "dy is ", name_of(dy.dtype), ", dx is ", name_of(dx.dtype));
  backward_data(d, dx).run(dy.data, w.data, dx.data, scratch);
}

template <>
std::size_t matmul_backward_weights_scratch_bytes(CpuStream, const MatmulDims& d, DType type,
                                                  const Grad& dw, const Grad& dbias) {
  return WeightScratch(nullptr, d, type, dw, dbias).bytes();
}

template <>
void matmul_backward_weights(CpuStream, const MatmulDims& d, ConstAct x, ConstAct dy, Grad dw,
                             Grad dbias, void* scratch) {
  const WeightScratch part(scratch, d, dy.dtype, dw, dbias);
  if (dw) backward_weights(d, dy.dtype, dw).run(dy.data, x.data, dw.data, part.pad);
  if (dbias)
    dispatch(dy.dtype, [&]<class T>(T) {
      loops::column_sums(d.rows, d.out, dy.as<T>(), dbias.as<float>(), dbias.adds(),
                         static_cast<float*>(part.sums));
    });
}

}  // namespace haze::kernels
