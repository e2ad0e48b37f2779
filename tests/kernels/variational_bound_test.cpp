// SPDX-License-Identifier: MIT
// variational_bound_test.cpp — terms of the bound and their gradient:
// against PyTorch's float64, the formulas and each other's backend,
// in f32 and bf16, with learned variances and with given ones.
#include "engine/files/safetensors.h"
#include "engine/process/process.h"
#include "kernels/variational_bound/reference.h"
#include "tests/support/paths.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::BoundBatch;
using engine::BoundStep;
using engine::Tensor;
using test::leaf;
namespace ref = kernels::reference;

/// What tests/pytorch/record_bound_terms.py recorded under a name, as a batch of [n,pixels,channels].
struct Record {
  Record(engine::Tape& tape, const std::string& name, engine::Shape shape) {
    const engine::SafetensorsReader file(
        engine::disk(), test::source_dir() + "/tests/fixtures/variational_bound.safetensors");
    const auto read = [&](const std::string& what) {
      const auto v = file.read_f32(file.at(name + "." + what));
      return std::vector<double>(v.begin(), v.end());
    };
    const auto table = read("table");
    std::vector<BoundStep> steps(table.size() / 6);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const auto at = [&](std::size_t k) { return float(table[6 * i + k]); };
      steps[i] = {at(0), at(1), at(2), at(3), at(4), at(5)};
    }
    std::vector<int> t(std::size_t(shape[0]), 0);
    for (std::size_t n = 0; n < t.size(); ++n) t[n] = steps.size() == 1 ? 0 : int(n);
    const auto x0 = read("x0");
    const auto x_t = name == "kl" ? read("x_t") : std::vector<double>(x0.size());
    batch = {test::to_tensor(tape, shape, x0), test::to_tensor(tape, shape, x_t),
             test::to_tensor_i32(tape, t), engine::bound_table(tape.context(), steps)};
    out = leaf(tape, {shape[0], shape[1], 2 * shape[2]}, read("out"));
    terms = read("terms");
    gradient = read("gradient");
  }
  BoundBatch batch;
  engine::Var out;
  std::vector<double> terms, gradient;
};

/// The variances' half, and that the predictions' half is 0.
std::vector<double> of_variances(const std::vector<double>& gradient, int channels) {
  std::vector<double> v;
  for (std::size_t i = 0; i < gradient.size(); ++i)
    if (i % std::size_t(2 * channels) >= std::size_t(channels))
      v.push_back(gradient[i]);
    else
      EXPECT_EQ(gradient[i], 0) << i;
  return v;
}

TEST(VariationalBound, OfAScheduleEqualsPyTorch) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const Record r(tape, "kl", {5, 20, 3});
    const Tensor terms = tape.empty({5}, DType::f32);
    const auto loss = engine::variational_bound(tape, r.out, r.batch, 1, terms);
    // At t = 1 a difference of means, 1e-2 of the predicted x0, carries the rounding of x0, 2^-23,
    // and is squared: 2e-5. Elsewhere it is less.
    test::expect_close(test::values(tape, terms), r.terms, 5e-5, 0, "terms");
    double mean = 0;
    for (const double term : r.terms) mean += term / 5;
    test::expect_close(test::value_of(tape, loss), std::vector{mean}, 5e-5, 0, "loss");
    tape.backward(loss);
    // The largest of 1/300 of ½·ln(beta/beta~)·½(1 - e^-gap - squared) is 1e-3.
    test::expect_close(of_variances(test::grad_of(tape, r.out), 3), r.gradient, 5e-5, 1e-9,
                       "gradient");
  }
}

TEST(VariationalBound, BinsFromTheMiddleToFarTailsEqualPyTorch) {
  const int n = 588;
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const Record r(tape, "bins", {n, 1, 1});
    ASSERT_EQ(r.terms.size(), std::size_t(n));
    const Tensor terms = tape.empty({n}, DType::f32);
    const auto loss = engine::variational_bound(tape, r.out, r.batch, n, terms);
    // -ln P is below 27.7 and is rounded to f32 here and in the record: P to 3e-6 of itself. Near P
    // = 1 its logarithm is small: 1e-7 absolute.
    test::expect_close(test::values(tape, terms), r.terms, 0x1p-23, 1e-7, "terms");
    tape.backward(loss);
    test::expect_close(of_variances(test::grad_of(tape, r.out), 1), r.gradient, 1e-6, 1e-9,
                       "gradient");
  }
}

/// A batch that knows every branch: both ends of the range and the middle at t = 0, three others.
struct Batch {
  kernels::PredictionDims d;
  std::vector<BoundStep> table{{1.1f, -0.3f, 1, 0, -6, -3},
                               {1.2f, -0.6f, 0.5f, -3, -3, -1.5f},
                               {2.0f, -1.7f, 0.2f, -2, -2.2f, -1.9f},
                               {1.0f, 0.0f, 0.1f, -2, -2, -2}};
  std::vector<float> weight{2, 0.5f, 1, 3};
  std::vector<std::int32_t> t{2, 0, 1, 3, 0};
  std::vector<double> out, x0, x_t;
  kernels::BoundRange range;

  Batch(kernels::PredictionDims dims, DType type, bool zero_to_one = false) : d(dims) {
    if (zero_to_one) range.lo = 0;
    out = test::normal(std::size_t(d.n) * d.outputs(), 1, 0, 0.7, type);
    x_t = test::normal(d.items().size(), 2, 0, 0.7, type);
    for (std::size_t i = 0; i < x_t.size(); ++i) {
      const float byte = float(i % 5 == 0 ? 0 : i % 5 == 1 ? 255 : i * 37 % 256);
      x0.push_back(zero_to_one ? byte / 255 : (2 * byte - 255) / 255);
    }
  }
  kernels::BoundInputs host(bool weighted) const {
    kernels::BoundInputs in;
    in.t = t.data();
    in.table = table.data();
    if (weighted) in.weight = weight.data();
    in.steps = 4;
    in.range = range;
    return in;
  }
  engine::Shape data() const { return {d.n, d.pixels, d.channels}; }
  BoundBatch on(engine::Tape& tape, DType type, bool weighted) const {
    const std::vector<int> times(t.begin(), t.begin() + d.n);
    BoundBatch b{test::to_tensor(tape, data(), x0), test::to_tensor(tape, data(), x_t, type),
                 test::to_tensor_i32(tape, times), engine::bound_table(tape.context(), table)};
    if (weighted) b.weight = engine::upload(tape.context(), {4}, std::span(weight));
    b.range = range;
    return b;
  }
  engine::Var leaf_of(engine::Tape& tape, DType type, bool needs_grad = true) const {
    return leaf(tape, {d.n, d.pixels, d.outputs() / d.pixels}, out, needs_grad, type);
  }
};

TEST(VariationalBound, GradientMatchesFiniteDifferences) {
  const Batch b({5, 4, 2, true}, DType::f32);
  const auto in = b.host(true);
  std::vector<double> terms(5), dout(b.out.size()), v, dv;
  const auto bound = [&](const std::vector<double>& out, double* gradient) {
    return ref::variational_bound(b.d, in, out.data(), b.x0.data(), b.x_t.data(), 0.7, terms.data(),
                                  gradient);
  };
  bound(b.out, dout.data());
  const auto is_variance = [](std::size_t i) { return i % 4 >= 2; };
  for (std::size_t i = 0; i < b.out.size(); ++i)
    if (is_variance(i)) v.push_back(b.out[i]), dv.push_back(dout[i]);
  const auto f =
      [&](const std::vector<double>& variances) {  // the predictions stay: the mean stops
        auto out = b.out;
        for (std::size_t i = 0, k = 0; i < out.size(); ++i)
          if (is_variance(i)) out[i] = variances[k++];
        return std::vector{bound(out, nullptr)};
      };
  test::expect_gradient(f, v, {0.7}, dv, 1e-6, "variances");
}

void expect_bound(const kernels::PredictionDims& d, bool zero_to_one, bool weighted) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      const Batch b(d, type, zero_to_one);
      engine::Context context(stream, type);
      engine::Tape tape(context);
      std::vector<double> terms(std::size_t(d.n), 0), dout(b.out.size());
      const double loss =
          ref::variational_bound(d, b.host(weighted), b.out.data(), b.x0.data(), b.x_t.data(), 0.25,
                                 terms.data(), d.variances ? dout.data() : nullptr);
      const auto o = b.leaf_of(tape, type, d.variances);
      const Tensor got = tape.empty({d.n}, DType::f32);
      const auto l = engine::variational_bound(tape, o, b.on(tape, type, weighted), 0.25, got);
      const std::string label = cat(d.pixels, 'x', d.channels, ' ', name_of(type));
      // t > 0: (coefficient·(x0 - guess))²·e^3 is below 5·4, the guess (four roundings of numbers
      // below 8) off by 2e-6 of a difference of at most 2; the sum over an item is exact.
      test::expect_close(test::values(tape, got), terms, 4e-6, 4e-6, label);
      test::expect_close(test::value_of(tape, l), std::vector{loss}, 4e-6, 8e-6, label);
      if (!d.variances) continue;
      tape.backward(l);
      test::expect_close(test::grad_of(tape, o), dout, 2 * test::rounding(type) + 4e-6,
                         0.25 * 3 * 1.5 / double(d.items().size()) * 4e-6, label);
    }
}

TEST(VariationalBound, BackendsMatchReference) {
  expect_bound({5, 1, 1, true}, false, false);
  expect_bound({5, 11, 3, true}, false, true);
  expect_bound({3, 95, 3, true}, true, true);
  expect_bound({5, 130, 2, true}, false, false);
  expect_bound({5, 90, 3, false}, false, true);  // variances of the table
}

TEST(VariationalBound, StandsBesideTheLossOfThePrediction) {
  for (const Stream stream : test::streams()) {
    const Batch b({3, 5, 3, true}, DType::f32);
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto o = b.leaf_of(tape, DType::f32);
    engine::Target target{{test::to_tensor(tape, b.data(), b.x_t), {}, 0}};
    target.channels = 3;
    const auto simple = engine::mse_loss(tape, o, target);
    tape.backward(engine::add(
        tape, simple, engine::variational_bound(tape, o, b.on(tape, DType::f32, true), 0.001f)));
    const auto joint = test::grad_of(tape, o);
    const auto alone = [&](bool bound) {
      engine::Tape other(context);
      const auto p = b.leaf_of(other, DType::f32);
      other.backward(
          bound ? engine::variational_bound(other, p, b.on(other, DType::f32, true), 0.001f)
                : engine::mse_loss(other, p, target));
      return test::grad_of(other, p);
    };
    const auto of_mse = alone(false), of_bound = alone(true);
    for (std::size_t i = 0; i < joint.size(); ++i) {
      EXPECT_EQ(joint[i], i % 6 < 3 ? of_mse[i] : of_bound[i]) << i;
      EXPECT_EQ((i % 6 < 3 ? of_bound : of_mse)[i], 0) << i;
    }
  }
}

TEST(VariationalBound, LeavesThePlacesOfPredictionsAloneAndNanShows) {
  for (const Stream stream : test::streams()) {
    Batch b({3, 5, 3, true}, DType::f32);
    b.out[15 * 6 - 1] = NAN;  // a variance of the last item
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto batch = b.on(tape, DType::f32, false);
    const Tensor out = test::to_tensor(tape, {3, 5, 6}, b.out);
    const Tensor dout = test::to_tensor(tape, {3, 5, 6}, std::vector<double>(90, 7));
    const Tensor loss = tape.empty({1}, DType::f32), terms = tape.empty({3}, DType::f32);
    const auto scratch = tape.scratch(kernels::item_sums_bytes(b.d.items()));
    const kernels::BoundInputs in{batch.x0.f32(), batch.x_t.in(),
                                  batch.t.i32(),  static_cast<const BoundStep*>(batch.table.raw()),
                                  nullptr,        4,
                                  b.range};
    tape.run([&](auto s) {
      kernels::variational_bound(s, b.d, out.in(), in, 1, scratch.get(), loss.f32(), dout.act(),
                                 terms.f32());
    });
    const auto got = test::values(tape, dout);
    for (std::size_t i = 0; i < 90; ++i) EXPECT_EQ(got[i] == 7, i % 6 < 3) << i;
    EXPECT_TRUE(std::isnan(got[89]));
    EXPECT_TRUE(std::isnan(test::values(tape, loss)[0]));
    const auto each = test::values(tape, terms);
    EXPECT_TRUE(std::isfinite(each[0]) && std::isfinite(each[1]) && std::isnan(each[2]));
  }
}

TEST(VariationalBound, RefusesWhatDoesNotFit) {
  for (const Stream stream : test::streams()) {
    Batch b({2, 5, 3, true}, DType::f32);
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto o = b.leaf_of(tape, DType::f32);
    const auto good = b.on(tape, DType::f32, true);
    const auto refuses = [&](const BoundBatch& batch, const std::string& text) {
      test::expect_check([&] { engine::variational_bound(tape, o, batch); }, text);
    };
    auto batch = good;
    batch.x_t = test::to_tensor(tape, {2, 3, 5}, b.x_t);
    refuses(batch, "x0 is [2,5,3], x_t is [2,3,5] f32");
    batch = good;
    batch.t = test::to_tensor_i32(tape, {1});
    refuses(batch, "t is [1]");
    batch = good;
    batch.table = test::to_tensor(tape, {4, 5}, test::normal(20, 1));
    refuses(batch, "the table is [4,5]");
    batch = good;
    batch.weight = test::to_tensor(tape, {3}, test::normal(3, 1));
    refuses(batch, "the table is [4,6], the weight [3]");
    batch = good;
    batch.t = test::to_tensor_i32(tape, {1, 4});
    if (std::holds_alternative<CpuStream>(stream)) {
      refuses(batch, "t[1] is 4, must be in [0,4)");
    } else {
      const auto loss = engine::variational_bound(tape, o, batch);
      EXPECT_TRUE(std::isnan(test::value_of(tape, loss)[0]));
    }
  }
}

}  // namespace
}  // namespace haze
