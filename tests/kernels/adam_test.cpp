// SPDX-License-Identifier: MIT
// adam_test.cpp — the optimiser against PyTorch's own
// lines in double; gradient norm; EMA; bf16 copy.
#include "engine/adam.h"

#include <omp.h>

#include "kernels/adam/adam.h"
#include "kernels/adam/reference.h"
#include "tests/kernels/adam_cases.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
namespace ref = kernels::reference;
using engine::AdamOptions;
using engine::Parameters;
using engine::Tensor;

std::vector<double> host(engine::Context& context, const Tensor& t) {
  const auto v = engine::download(context, t);
  return {v.begin(), v.end()};
}
void set(engine::Context& context, const Tensor& t, const std::vector<double>& v) {
  ASSERT_EQ(t.size(), v.size());
  engine::overwrite(context, t, std::vector<float>(v.begin(), v.end()));
}

/// Three parameters that nothing divides: padding lies between them.
void allocate(Parameters& p, Stream stream, DType type = DType::f32, bool training = true,
              bool ema = true) {
  p.add(
      {.name = "a", .shape = {37, 3}, .init = engine::Init::normal, .bound = 1, .is_weight = true});
  p.add({.name = "b", .shape = {5}, .init = engine::Init::ones});
  p.add({.name = "c", .shape = {2, 3, 3, 7}, .init = engine::Init::uniform, .bound = 0.1f});
  p.allocate(stream, 42, training, ema, type);
}

/// Leaves gradients as backward() would: written ranges, padding zero.
std::vector<double> write_gradients(engine::Context& context, Parameters& p, unsigned seed,
                                    double size) {
  for (std::uint32_t i = 0; i < p.count(); ++i) {
    const Tensor range = p.range_of(p.gradients, {i});
    set(context, range, test::normal(range.size(), seed + i, 0, size));
    p.mark_written({i});
  }
  return host(context, p.gradients);
}

void follow_pytorch(Stream stream, const AdamOptions& o, const char* why) {
  Parameters p;
  engine::Context context{stream};
  allocate(p, stream);
  ref::AdamW<double> torch{o.learning_rate, o.beta1, o.beta2, o.eps, o.weight_decay};
  auto w = host(context, p.weights), ema = w;
  for (std::uint32_t step = 0; step < 20; ++step) {
    auto g = write_gradients(context, p, 100 + 10 * step, step % 3 ? 0.3 : 1e-3);
    const Tensor result = engine::adam_step(context, p, o, step);
    const double want_norm =
        ref::AdamW<double>::clip_grad_norm(g, o.grad_clip > 0 ? o.grad_clip : 1e30);
    torch.update(w, g);
    for (std::size_t i = 0; i < w.size(); ++i)
      ema[i] = o.ema_decay * ema[i] + (1 - o.ema_decay) * w[i];
    test::expect_close(host(context, result), std::vector{want_norm, 1.0}, 1e-7, 0, why);
  }
  // Per step about six roundings of an update of size lr and one of w: 20·(6·lr + |w|)·2^-24.
  const double lr = o.learning_rate;
  test::expect_close(host(context, p.weights), w, 20 * 0x1p-24, 20 * 6 * 0x1p-24 * lr + 1e-9 * lr,
                     why);
  test::expect_close(host(context, p.ema), ema, 20 * 0x1p-24, 20 * 6 * 0x1p-24 * lr + 1e-9 * lr,
                     why);
  // A moment of size up to 1 rounds three times in each step.
  test::expect_close(host(context, p.adam_m), torch.exp_avg, 60 * 0x1p-24, 60 * 0x1p-24 * 0.1, why);
  test::expect_close(host(context, p.adam_v), torch.exp_avg_sq, 60 * 0x1p-24, 1e-20, why);
}

TEST(Adam, FollowsPyTorchForTwentySteps) {
  for (const Stream stream : test::streams()) {
    follow_pytorch(stream, {.learning_rate = 2e-4}, "defaults");
    follow_pytorch(stream, {.learning_rate = 2e-4, .grad_clip = 1, .ema_decay = 0.9999},
                   "DDPM's settings");
    follow_pytorch(stream,
                   {.learning_rate = 0.1,
                    .beta1 = 0.5,
                    .beta2 = 0.9,
                    .eps = 1e-3,
                    .weight_decay = 0.3,
                    .grad_clip = 1e3,
                    .ema_decay = 0.5},
                   "weight decay, a clip that does not bind");
  }
}

TEST(Adam, PaddingStaysZeroAndUnreachedParametersGetZeroGradient) {
  for (const Stream stream : test::streams()) {
    Parameters p;
    allocate(p, stream, DType::bf16);
    engine::Context context{stream};
    write_gradients(context, p, 1, 1);
    engine::adam_step(context, p, {}, 0);
    EXPECT_FALSE(p.gradient_written({0}));  // open for the next step
    const auto before = host(context, p.range_of(p.weights, {1}));
    set(context, p.range_of(p.gradients, {0}), test::normal(111, 3));
    p.mark_written({0});
    engine::adam_step(context, p, {.learning_rate = 0.01, .beta1 = 0}, 1);
    // b was not reached: with beta1 = 0 its update is that of a zero gradient, none.
    EXPECT_EQ(host(context, p.range_of(p.weights, {1})), before);
    std::vector<bool> used(p.flat_size());
    for (const auto& q : p.all())
      std::fill_n(used.begin() + std::ptrdiff_t(q.offset), q.size(), true);
    for (const Tensor& flat : {p.weights, p.adam_m, p.adam_v, p.ema, p.weights_bf16}) {
      const auto values = host(context, flat);
      for (std::size_t i = 0; i < values.size(); ++i) ASSERT_TRUE(used[i] || values[i] == 0) << i;
    }
  }
}

TEST(Adam, KeepsTheBf16CopyAndEveryCombinationOfBuffersAgrees) {
  for (const Stream stream : test::streams()) {
    std::vector<double> weights;
    for (const bool ema : {false, true})
      for (const DType type : {DType::f32, DType::bf16}) {
        Parameters p;
        allocate(p, stream, type, true, ema);
        engine::Context context{stream, type};
        write_gradients(context, p, 1, 1);
        engine::adam_step(context, p, {.ema_decay = 0.9}, 0);
        const auto w = host(context, p.weights);
        if (weights.empty()) weights = w;
        EXPECT_EQ(w, weights);
        if (type != DType::bf16) continue;
        const auto half = host(context, p.weights_bf16);
        for (std::size_t i = 0; i < w.size(); ++i)
          ASSERT_EQ(half[i], double(float(bf16(float(w[i]))))) << i;
      }
  }
}

TEST(Adam, RefusesBadOptionsAndParametersWithoutGradients) {
  engine::Context context{CpuStream{}};
  Parameters trained, frozen;
  allocate(trained, CpuStream{});
  allocate(frozen, CpuStream{}, DType::f32, false);
  test::expect_check([&] { engine::adam_step(context, frozen, {}, 0); },
                     "not allocated for training");
  test::expect_check([&] { engine::adam_step(context, trained, {.beta1 = 1}, 0); }, "beta1 1");
  test::expect_check([&] { engine::adam_step(context, trained, {.eps = 0}, 0); }, "eps 0");
  test::expect_check([&] { engine::adam_step(context, trained, {.ema_decay = 1.5}, 0); }, "1.5");
  test::expect_check([&] { engine::adam_step(context, trained, {.learning_rate = NAN}, 0); },
                     "nan");
}

TEST(Adam, CoefficientsMayLieInDeviceMemory) {
  const kernels::AdamStep c = test::kStep;
  kernels::AdamStep other = c;
  other.step_size = other.beta1 = NAN;
  const int n = 1037;  // no multiple of a vector
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto run = [&](bool on_device) {
      std::vector<Tensor> all;  // w, g, m, v, ema, result
      for (unsigned i = 0; i < 5; ++i)
        all.push_back(test::to_tensor(tape, {n}, test::normal(n, i, 3, 0.1)));
      all.push_back(tape.empty({2}, DType::f32));
      const Tensor half = tape.empty({n}, DType::bf16);
      const auto scratch = tape.scratch(kernels::global_norm_scratch_bytes(n));
      engine::DeviceValue<kernels::AdamStep> at(tape.context());
      at.set(tape.context(), c);
      const kernels::AdamBuffers b{all[0].f32(), all[1].f32(), all[2].f32(),
                                   all[3].f32(), all[4].f32(), static_cast<bf16*>(half.raw())};
      tape.run([&](auto s) {
        const Late<kernels::AdamStep> step{on_device ? other : c,
                                           on_device ? at.on_device() : nullptr};
        kernels::adam_step(s, n, step, b, scratch.get(), all[5].f32());
      });
      std::vector<double> result = test::values(tape, half);
      for (const Tensor& t : all) result = test::join(result, test::values(tape, t));
      return result;
    };
    const auto by_value = run(false);
    for (const double v : by_value) ASSERT_TRUE(std::isfinite(v));
    EXPECT_EQ(run(true), by_value);
  }
}

TEST(GlobalNorm, OverSeveralChunksWithAnOutlierAndWithoutOverflow) {
  const std::size_t n = 2 * kernels::kNormChunk + 77;
  auto g = test::normal(n, 3);
  g[0] = 1e20, g[n - 1] = -1e20;  // squares overflow f32
  double want = 0;
  for (const double v : g) want += v * v;
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto scratch = tape.scratch(kernels::global_norm_scratch_bytes(n));
    const auto norm_of = [&](const std::vector<double>& values) {
      const Tensor x = test::to_tensor(tape, {int(n)}, values), norm = tape.empty({1}, DType::f32);
      tape.run([&](auto s) { kernels::global_norm(s, n, x.f32(), scratch.get(), norm.f32()); });
      return test::values(tape, norm)[0];
    };
    const double norm = norm_of(g);
    test::expect_close(std::vector{norm}, std::vector{std::sqrt(want)}, 1e-7, 0, "outlier");
    const int threads = omp_get_max_threads();
    for (const int several : {1, 2, 3}) {  // the same bits for any number of threads
      omp_set_num_threads(several);
      EXPECT_EQ(norm_of(g), norm);
    }
    omp_set_num_threads(threads);
    test::expect_close(std::vector{norm_of(std::vector<double>(n, 1))},
                       std::vector{std::sqrt(double(n))}, 1e-7, 0, "every chunk");
  }
}

}  // namespace
}  // namespace haze
