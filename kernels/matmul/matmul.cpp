// SPDX-License-Identifier: MIT
// matmul.cpp — CPU backend: the own products of kernels/cpu/products.h, and for bf16, where this
// CPU has instructions for it, oneDNN's matmul on the plain row-major matrices; the column sums of
// dy are an own loop. Why not oneDNN's for f32: docs/decisions/0003-own-attention-products.md.
#include "kernels/matmul/matmul.h"

#include <optional>
#include <unordered_map>

#include "kernels/base/stream.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/products.h"

namespace haze::kernels {
namespace {

using dnnl::memory;

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

/// oneDNN's product of bf16; null for f32, and where it has no code for bf16.
Product* product(const Key& key) {
  if (key.type == DType::f32) return nullptr;
  static onednn::Cache<Key, std::optional<Product>> cache;
  auto& found = cache.get(key, [](const Key& k) {
    std::optional<Product> made;
    onednn::has_code([&] { made.emplace(k); });
    return made;
  });
  return found ? &*found : nullptr;
}

Product* forward(const MatmulDims& d, DType type, bool bias, bool residual) {
  return product({d.rows, d.in, d.out, type, type, false, true, bias, residual, false});
}
Product* backward_data(const MatmulDims& d, const Grad& dx) {
  return product({d.rows, d.out, d.in, dx.dtype, dx.dtype, false, false, false, false, dx.adds()});
}
Product* backward_weights(const MatmulDims& d, DType type, const Grad& dw) {
  return product({d.out, d.rows, d.in, type, dw.dtype, true, false, false, false, dw.adds()});
}

using products::ByRows;
using products::Lies;
using products::OverRows;

ByRows own_forward(void* base, const MatmulDims& d, DType type) {
  return {base, d.rows, d.out, d.in, type};
}
ByRows own_backward_data(void* base, const MatmulDims& d, DType type) {
  return {base, d.rows, d.in, d.out, type};
}
OverRows own_backward_weights(void* base, const MatmulDims& d) {
  return {base, d.out, d.in, d.rows};
}

/// Delivers sums to `to` [any, columns].
template <class T>
auto storing(int columns, T* to, bool adds) {
  return products::storing([=](int row) { return to + std::ptrdiff_t(row) * columns; }, adds);
}

struct WeightScratch : Carver {
  void *product = nullptr, *sums = nullptr;
  WeightScratch(void* base, const MatmulDims& d, DType type, const Grad& dw, const Grad& dbias)
      : Carver(base) {
    if (dw) {
      const Product* const theirs = backward_weights(d, type, dw);
      product = take(theirs ? theirs->pd.scratchpad_desc().get_size()
                            : own_backward_weights(nullptr, d).bytes());
    }
    if (dbias) sums = take(loops::kChunks * std::size_t(d.out) * sizeof(float));
  }
};

}  // namespace

template <>
std::size_t matmul_forward_scratch_bytes(CpuStream, const MatmulDims& d, DType type, bool with_bias,
                                         bool with_residual) {
  if (const Product* theirs = forward(d, type, with_bias, with_residual))
    return theirs->pd.scratchpad_desc().get_size();
  return own_forward(nullptr, d, type).bytes();
}

template <>
void matmul_forward(CpuStream, const MatmulDims& d, ConstAct x, ConstAct w, const float* bias,
                    ConstAct residual, Act y, void* scratch) {
  if (Product* theirs = forward(d, y.dtype, bias != nullptr, bool(residual)))
    return theirs->run(x.data, w.data, y.data, scratch, bias, residual.data);
  dispatch(y.dtype, [&]<class T>(T) {
    T* const out = y.as<T>();
    const T* const add = residual ? residual.as<T>() : nullptr;
    const auto store = [=](int row, int column, int count, const float* sums) {
      const std::ptrdiff_t at = std::ptrdiff_t(row) * d.out + column;
      const float* const b = bias ? bias + column : nullptr;
      for (int j = 0; j < count; ++j) {
        float sum = sums[j];
        if (b) sum += b[j];
        if (add) sum += float(add[at + j]);
        out[at + j] = sum;
      }
    };
    own_forward(scratch, d, y.dtype).run(x.as<T>(), w.as<T>(), Lies::columns, store);
  });
}

template <>
std::size_t matmul_backward_data_scratch_bytes(CpuStream, const MatmulDims& d, const Grad& dx) {
  if (const Product* theirs = backward_data(d, dx)) return theirs->pd.scratchpad_desc().get_size();
  return own_backward_data(nullptr, d, dx.dtype).bytes();
}

template <>
void matmul_backward_data(CpuStream, const MatmulDims& d, ConstAct dy, ConstAct w, Grad dx,
                          void* scratch) {
  HAZE_CHECK(dy.dtype == dx.dtype, "dy is ", name_of(dy.dtype), ", dx is ", name_of(dx.dtype));
  if (Product* theirs = backward_data(d, dx)) return theirs->run(dy.data, w.data, dx.data, scratch);
  dispatch(dx.dtype, [&]<class T>(T) {
    own_backward_data(scratch, d, dx.dtype)
        .run(dy.as<T>(), w.as<T>(), Lies::rows, storing(d.in, dx.as<T>(), dx.adds()));
  });
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
  if (dw) {
    if (Product* theirs = backward_weights(d, dy.dtype, dw))
      theirs->run(dy.data, x.data, dw.data, part.product);
    else
      dispatch(dy.dtype, [&]<class T>(T) {
        dispatch(dw.dtype, [&]<class G>(G) {
          own_backward_weights(part.product, d)
              .run(products::packing(dy.as<T>(), d.out), products::packing(x.as<T>(), d.in),
                   storing(d.in, dw.as<G>(), dw.adds()));
        });
      });
  }
  if (dbias)
    dispatch(dy.dtype, [&]<class T>(T) {
      loops::column_sums(d.rows, d.out, dy.as<T>(), dbias.as<float>(), dbias.adds(),
                         static_cast<float*>(part.sums));
    });
}

}  // namespace haze::kernels
