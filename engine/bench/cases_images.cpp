// SPDX-License-Identifier: MIT
// cases_images.cpp — what normalises, activates, drops, pools, joins or enlarges images as
// something to time: all of it bound by the bytes it moves.
#include "engine/bench/kernel_buffers.h"
#include "kernels/add/add.h"
#include "kernels/concat/concat.h"
#include "kernels/dropout/dropout.h"
#include "kernels/group_norm/group_norm.h"
#include "kernels/group_norm/versions.h"
#include "kernels/pointwise/pointwise.h"
#include "kernels/pool/pool.h"
#include "kernels/upsample/upsample.h"

namespace haze::engine {
namespace {

std::size_t values(const KernelShape& k) { return std::size_t(k.n) * k.h * k.h * k.c; }

KernelCase group_norm(Context& context, const KernelShape& k, bool swish, bool backward) {
  int groups = 32;
  while (k.c % groups) groups /= 2;
  const kernels::GroupNormDims d{k.n, k.h * k.h, k.c, groups, 1e-5f, swish};
  const std::size_t size = values(k), c = std::size_t(d.c);
  Buffers b(context);
  const Tensor x = b.activations(size), y = b.activations(size), dx = b.activations(size);
  const Tensor gamma = b.normals(c, DType::f32), beta = b.normals(c, DType::f32);
  const Tensor dgamma = b.raw(c, DType::f32), dbeta = b.raw(c, DType::f32);
  const Tensor mean = b.raw(std::size_t(d.n) * groups, DType::f32);
  const Tensor rstd = b.normals(std::size_t(d.n) * groups, DType::f32);
  KernelCase result;
  result.bytes = double(size) * size_of(context.activations) * (backward ? 3 : 2);
  result.result = backward ? dx : y;
  std::visit(
      [&]<class S>(S s) {
        const auto scratch = b.memory(kernels::group_norm_scratch_bytes(s, d));
        if (backward)
          result.run = [=] {
            kernels::group_norm_backward(s, d, y.in(), x.in(), gamma.f32(), beta.f32(), mean.f32(),
                                         rstd.f32(), overwrite(dx), overwrite(dgamma),
                                         overwrite(dbeta), scratch.get());
          };
        else
          result.run = [=] {
            kernels::group_norm_forward(s, d, x.in(), gamma.f32(), beta.f32(), y.act(), mean.f32(),
                                        rstd.f32(), scratch.get());
          };
        if constexpr (OnCuda<S>) {
          if (backward) {
            const auto sums = b.memory(2 * std::size_t(d.n) * c * sizeof(float));
            result.peers = {{"v1_naive",
                             [=] {
                               kernels::group_norm_backward_v1(s, d, y.in(), x.in(), gamma.f32(),
                                                               beta.f32(), mean.f32(), rstd.f32(),
                                                               overwrite(dx), overwrite(dgamma),
                                                               overwrite(dbeta), sums.get());
                             },
                             dx}};
            return;
          }
          const auto add = [&](const char* impl,
                               decltype(&kernels::group_norm_forward_v1) version) {
            result.peers.push_back({impl,
                                    [=] {
                                      version(s, d, x.in(), gamma.f32(), beta.f32(), y.act(),
                                              mean.f32(), rstd.f32());
                                    },
                                    y});
          };
          add("v1_naive", kernels::group_norm_forward_v1);
          add("v2_welford", kernels::group_norm_forward_v2);
          add("v3_slab", kernels::group_norm_forward_v3);
        }
      },
      context.stream);
  return result;
}

/// What maps n values to n values, from one tensor forward, or from two backward.
template <class F>
KernelCase element_wise(Context& context, const KernelShape& k, int tensors_moved, F f) {
  const std::size_t n = values(k);
  Buffers b(context);
  const Tensor x = b.activations(n), other = b.activations(n), y = b.activations(n);
  KernelCase result;
  result.bytes = double(tensors_moved) * double(y.bytes());
  result.run = on(context, [=](auto s) { f(s, n, x, other, y); });
  return result;
}

template <class F>
KernelCase function_of_one(Context& c, const KernelShape& k, bool backward) {
  return element_wise(
      c, k, backward ? 3 : 2,
      [=](auto s, std::size_t n, const Tensor& x, const Tensor& dy, const Tensor& y) {
        if (backward)
          kernels::pointwise_backward<F>(s, n, dy.in(), x.in(), overwrite(y));
        else
          kernels::pointwise_forward<F>(s, n, x.in(), y.act());
      });
}

template <class F>
KernelCase function_of_two(Context& c, const KernelShape& k, bool backward) {
  Buffers more(c);
  const Tensor dy = more.activations(values(k)), db = more.activations(values(k));
  return element_wise(
      c, k, backward ? 5 : 3,
      [=](auto s, std::size_t n, const Tensor& a, const Tensor& b, const Tensor& y) {
        if (backward)
          kernels::pointwise_backward<F>(s, n, dy.in(), a.in(), b.in(), overwrite(y),
                                         overwrite(db));
        else
          kernels::pointwise_forward<F>(s, n, a.in(), b.in(), y.act());
      });
}

KernelCase dropout(Context& c, const KernelShape& k, bool backward) {
  const kernels::ItemDims d{k.n, k.h * k.h * k.c};
  const kernels::DropoutMask mask(0.1f, {1, 2, 3}, 0);
  return element_wise(c, k, 2,
                      [=](auto s, std::size_t, const Tensor& x, const Tensor&, const Tensor& y) {
                        if (backward)
                          kernels::dropout_backward(s, d, mask, x.in(), overwrite(y));
                        else
                          kernels::dropout_forward(s, d, mask, x.in(), y.act());
                      });
}

KernelCase add(Context& c, const KernelShape& k) {
  return element_wise(
      c, k, 3, [](auto s, std::size_t n, const Tensor& x, const Tensor& other, const Tensor& y) {
        kernels::add_forward(s, n, x.in(), other.in(), y.act());
      });
}

/// The second gradient of a value: read both, write the sum.
KernelCase deliver(Context& c, const KernelShape& k) {
  return element_wise(c, k, 3,
                      [](auto s, std::size_t n, const Tensor& x, const Tensor&, const Tensor& y) {
                        kernels::deliver(s, n, x.in(), {y.raw(), y.dtype, kernels::Write::add});
                      });
}

KernelCase add_channel(Context& context, const KernelShape& k, bool backward) {
  const kernels::AddChannelDims d{k.n, k.h * k.h, k.c};
  Buffers b(context);
  const Tensor x = b.activations(values(k)), y = b.activations(values(k));
  const Tensor v = b.activations(std::size_t(k.n) * k.c);
  KernelCase result;
  result.bytes = double(backward ? 1 : 2) * double(x.bytes()) + double(v.bytes());
  result.run = on(context, [=](auto s) {
    if (backward)
      kernels::add_channel_backward(s, d, y.in(), overwrite(v));
    else
      kernels::add_channel_forward(s, d, x.in(), v.in(), y.act());
  });
  return result;
}

/// c channels and co.
KernelCase concat(Context& context, const KernelShape& k, bool backward) {
  const kernels::ConcatDims d{std::size_t(k.n) * k.h * k.h, k.c, k.co};
  Buffers b(context);
  const Tensor x = b.activations(d.pixels * d.ca), y = b.activations(d.pixels * d.cb);
  const Tensor both = b.activations(d.pixels * std::size_t(d.ca + d.cb));
  KernelCase result;
  result.bytes = 2.0 * double(both.bytes());
  result.run = on(context, [=](auto s) {
    if (backward)
      kernels::concat_channels_backward(s, d, both.in(), overwrite(x), overwrite(y));
    else
      kernels::concat_channels_forward(s, d, x.in(), y.in(), both.act());
  });
  return result;
}

/// [n,h,h,c] to [n,2h,2h,c].
KernelCase upsample(Context& context, const KernelShape& k, bool backward) {
  const kernels::UpsampleDims d{k.n, k.h, k.h, k.c};
  Buffers b(context);
  const Tensor x = b.activations(values(k)), y = b.activations(4 * values(k));
  KernelCase result;
  result.bytes = double(x.bytes() + y.bytes());
  result.run = on(context, [=](auto s) {
    if (backward)
      kernels::upsample2x_backward(s, d, y.in(), overwrite(x));
    else
      kernels::upsample2x_forward(s, d, x.in(), y.act());
  });
  return result;
}

/// Windows of 3x3: the largest at every second pixel, the mean at every one.
KernelCase pool(Context& context, const KernelShape& k, kernels::Pooling pooling) {
  const int stride = pooling == kernels::Pooling::largest ? 2 : 1;
  const kernels::PoolDims d{k.n, k.h, k.h, k.c, 3, stride, 1};
  Buffers b(context);
  const Tensor x = b.activations(values(k));
  const Tensor y = b.activations(std::size_t(d.n) * d.ho() * d.wo() * d.c);
  KernelCase result;
  result.bytes = double(x.bytes() + y.bytes());
  result.run = on(context, [=](auto s) { kernels::pool_forward(s, d, pooling, x.in(), y.act()); });
  return result;
}

}  // namespace

std::vector<KernelCaseMaker> image_kernel_cases() {
  const auto norm = [](bool swish, bool backward) {
    return [=](Context& c, const KernelShape& k) { return group_norm(c, k, swish, backward); };
  };
  std::vector<KernelCaseMaker> all = {
      {"group_norm.forward", norm(false, false), {"v1_naive", "v2_welford", "v3_slab"}},
      {"group_norm.backward", norm(false, true), {"v1_naive"}},
      {"group_norm_swish.forward", norm(true, false), {"v1_naive", "v2_welford", "v3_slab"}},
      {"group_norm_swish.backward", norm(true, true), {"v1_naive"}},
  };
  const auto both = [&](const char* name, KernelCase (*f)(Context&, const KernelShape&, bool),
                        const char* reading = kImages) {
    for (const bool backward : {false, true})
      all.push_back({cat(name, backward ? ".backward" : ".forward"),
                     [=](Context& c, const KernelShape& k) { return f(c, k, backward); },
                     {},
                     reading});
  };
#define HAZE_ROWS_OF_ONE(F) both(kernels::F::kName, function_of_one<kernels::F>);
  HAZE_FUNCTIONS_OF_ONE(HAZE_ROWS_OF_ONE)
#define HAZE_ROWS_OF_TWO(F) both(kernels::F::kName, function_of_two<kernels::F>);
  HAZE_FUNCTIONS_OF_TWO(HAZE_ROWS_OF_TWO)
  both("dropout", dropout);
  both("concat", concat, "images [n,h,h,c] beside [n,h,h,co]");
  both("upsample", upsample);
  const auto pooling = [](kernels::Pooling p) {
    return [=](Context& c, const KernelShape& k) { return pool(c, k, p); };
  };
  all.push_back({"pool.largest", pooling(kernels::Pooling::largest)});
  all.push_back({"pool.mean", pooling(kernels::Pooling::mean)});
  all.push_back({"add.forward", add});
  all.push_back({"add.deliver", deliver});
  both("add_channel", add_channel);
  return all;
}

}  // namespace haze::engine
