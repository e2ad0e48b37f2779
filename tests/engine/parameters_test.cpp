// SPDX-License-Identifier: MIT
// parameters_test.cpp — the flat buffers: where a parameter lies, how it starts, what stays zero.
#include "engine/parameters.h"

#include <set>

#include "tests/support/device.h"
#include "tests/support/test.h"

namespace haze::engine {
namespace {

struct Net {
  Parameters all;
  ParamId conv, bias, odd, last;
  std::vector<ParamId> joint;
};
Net make(std::uint64_t seed, DType activations = DType::f32, bool training = true,
         bool ema = true) {
  Net n;
  n.conv = n.all.add({.name = "conv",
                      .shape = {40, 3, 3, 33},
                      .layout = Layout::conv,
                      .init = Init::uniform,
                      .bound = 0.25f,
                      .is_weight = true});
  n.bias = n.all.add({.name = "bias", .shape = {5}, .init = Init::ones});
  n.joint = n.all.add_joint(
      {{.name = "q", .shape = {3, 7}, .init = Init::uniform, .bound = 1, .is_weight = true},
       {.name = "k", .shape = {2, 7}, .init = Init::uniform, .bound = 1, .is_weight = true}});
  n.odd = n.all.add(
      {.name = "odd", .shape = {101, 103}, .init = Init::normal, .bound = 2, .is_weight = true});
  n.last = n.all.add({.name = "last", .shape = {1}, .init = Init::zeros});
  n.all.allocate(test::device(), seed, training, ema, activations);
  return n;
}
std::vector<float> floats(const Tensor& t) { return test::read(t); }
std::vector<float> values(const Net& n, ParamId id) {
  return floats(n.all.range_of(n.all.weights, id));
}

/// Offsets of the flat buffers that belong to no parameter.
std::vector<std::size_t> padding(const Parameters& p) {
  std::set<std::size_t> free;
  for (std::size_t i = 0; i < p.flat_size(); ++i) free.insert(free.end(), i);
  for (const Parameter& q : p.all())
    for (std::size_t i = 0; i < q.size(); ++i) free.erase(q.offset + i);
  return {free.begin(), free.end()};
}

TEST(Parameters, RangesAreAlignedDisjointAndPaddedWithZeros) {
  const Net n = make(1);
  std::size_t end = 0, sum = 0;
  for (const Parameter& p : n.all.all()) {
    EXPECT_GE(p.offset, end) << p.name;
    EXPECT_TRUE(p.offset % 16 == 0 || p.name == "k") << p.name << " is not 64-byte aligned";
    end = p.offset + p.size();
    sum += p.size();
  }
  EXPECT_LE(end, n.all.flat_size());
  EXPECT_EQ(n.all.flat_size() % 16, 0u);
  EXPECT_EQ(n.all.elements(), sum);
  EXPECT_EQ(n.all.count(), 6u);
  const auto holes = padding(n.all);
  EXPECT_EQ(holes.size(), n.all.flat_size() - sum);
  EXPECT_GT(holes.size(), 0u);
  for (const Tensor& t : {n.all.weights, n.all.gradients, n.all.adam_m, n.all.adam_v, n.all.ema})
    for (const auto v = floats(t); const std::size_t i : holes) ASSERT_EQ(v[i], 0) << i;
}

TEST(Parameters, OptimiserStateStartsAtZeroAndTheEmaAtTheWeights) {
  const Net n = make(1);
  for (const Tensor& t : {n.all.gradients, n.all.adam_m, n.all.adam_v})
    EXPECT_EQ(floats(t), std::vector<float>(n.all.flat_size(), 0));
  EXPECT_EQ(floats(n.all.ema), floats(n.all.weights));
  const Net sampling = make(1, DType::f32, false, false);
  for (const Tensor& t : {sampling.all.gradients, sampling.all.adam_m, sampling.all.adam_v,
                          sampling.all.ema, sampling.all.weights_bf16})
    EXPECT_FALSE(t);
}

TEST(Parameters, UniformFillsItsBoundAndNothingBeyond) {
  const Net n = make(1);
  const auto v = values(n, n.conv);
  const double count = double(v.size()), bound = 0.25;
  double sum = 0, squares = 0, largest = 0;
  for (const float e : v)
    sum += e, squares += double(e) * e, largest = std::max(largest, std::abs(double(e)));
  EXPECT_LE(largest, bound);
  EXPECT_GT(largest, bound * (1 - 20 / count));  // missed with probability e^-20
  // 5 standard errors: e has variance bound²/3, e² has variance bound⁴·(1/5 - 1/9).
  // sigma.
  EXPECT_NEAR(sum / count, 0, 5 * bound / std::sqrt(3 * count));
  EXPECT_NEAR(squares / count, bound * bound / 3, 5 * bound * bound * std::sqrt(4. / 45 / count));
  EXPECT_GT(std::set<float>(v.begin(), v.end()).size(), v.size() * 99 / 100);
}

TEST(Parameters, NormalHasItsStandardDeviation) {
  const Net n = make(1);
  const auto v = values(n, n.odd);
  const double count = double(v.size()), sigma = 2;
  double sum = 0, squares = 0, within = 0;
  for (const float e : v) sum += e, squares += double(e) * e, within += std::abs(e) < sigma;
  // 5 standard errors each; 68.27 % lie within one sigma.
  EXPECT_NEAR(sum / count, 0, 5 * sigma / std::sqrt(count));
  EXPECT_NEAR(squares / count, sigma * sigma, 5 * sigma * sigma * std::sqrt(2 / count));
  EXPECT_NEAR(within / count, 0.6827, 5 * std::sqrt(0.6827 * 0.3173 / count));
}

TEST(Parameters, ConstantsAreConstant) {
  const Net n = make(1);
  EXPECT_EQ(values(n, n.bias), std::vector<float>(5, 1));
  EXPECT_EQ(values(n, n.last), std::vector<float>(1, 0));
}

TEST(Parameters, SameSeedSameBitsAndEveryParameterItsOwn) {
  const Net a = make(42), again = make(42, DType::bf16, false, false), other = make(43);
  EXPECT_EQ(floats(a.all.weights), floats(again.all.weights));  // whatever else is allocated
  EXPECT_NE(values(a, a.conv), values(other, other.conv));
  const auto q = values(a, a.joint[0]), k = values(a, a.joint[1]);
  EXPECT_NE(std::vector(q.begin(), q.begin() + 14), k);
}

TEST(Parameters, ViewsShareTheFlatBuffer) {
  const Net n = make(1);
  test::set(n.all.range_of(n.all.weights, n.odd), 2, 77);
  EXPECT_EQ(test::at(n.all.weights, n.all[n.odd].offset + 2), 77);
  EXPECT_EQ(test::at(n.all.value_of(n.odd), 2), 77);
  EXPECT_EQ(n.all.value_of(n.odd).shape, Shape({101, 103}));
  Tensor view;
  {
    const Net gone = make(1);
    view = gone.all.value_of(gone.bias);
  }
  EXPECT_EQ(floats(view), std::vector<float>(5, 1));  // a view keeps the buffer alive
}

TEST(Parameters, JointValueIsTheConcatenation) {
  const Net n = make(1);
  const Tensor both = n.all.joint_value(n.joint);
  EXPECT_EQ(both.shape, Shape({5, 7}));
  auto want = values(n, n.joint[0]);
  const auto k = values(n, n.joint[1]);
  want.insert(want.end(), k.begin(), k.end());
  EXPECT_EQ(floats(both), want);
  EXPECT_THROW(n.all.joint_value({n.bias, n.odd}), CheckError);
  EXPECT_THROW(n.all.joint_value({n.joint[1], n.joint[0]}), CheckError);
}

TEST(Parameters, Bf16CopyFollowsTheWeights) {
  Net n = make(1, DType::bf16);
  EXPECT_EQ(n.all.value_of(n.conv).dtype, DType::bf16);
  EXPECT_EQ(n.all.joint_value(n.joint).dtype, DType::bf16);
  EXPECT_EQ(n.all.value_of(n.bias).dtype, DType::f32);  // not a weight
  const auto same = [&] {
    const auto half = test::read<bf16>(n.all.weights_bf16);
    const auto weights = floats(n.all.weights);
    for (std::size_t i = 0; i < n.all.flat_size(); ++i)
      if (half[i].bits != bf16(weights[i]).bits) return false;
    return true;
  };
  EXPECT_TRUE(same());
  test::set(n.all.weights, 3, 1.5f);
  EXPECT_FALSE(same());
  n.all.refresh_bf16();
  EXPECT_TRUE(same());
  test::fill(n.all.ema, 0.75f);
  n.all.with_ema([&] {
    EXPECT_TRUE(same());
    EXPECT_EQ(test::at(n.all.weights, 3), 0.75f);
  });
}

TEST(Parameters, WithTheEmaTheNetworkHasItAndNeedsOne) {
  Net n = make(1), none = make(1, DType::f32, true, false);
  test::set(n.all.ema, n.all[n.odd].offset, 5);
  const std::vector<float> ema = floats(n.all.ema);
  n.all.with_ema([&] {
    EXPECT_EQ(values(n, n.odd)[0], 5);
    EXPECT_EQ(floats(n.all.weights), ema);
  });
  EXPECT_THROW(none.all.with_ema([] {}), CheckError);
}

TEST(Parameters, WithTheEmaTheWeightsAreOnlyLent) {
  for (const DType type : {DType::f32, DType::bf16}) {
    Net n = make(1, type), none = make(1, type, true, false);
    test::fill(n.all.ema, 0.75f);
    const auto weights = floats(n.all.weights), ema = floats(n.all.ema);
    const void* const at[] = {n.all.weights.raw(), n.all.ema.raw(), n.all.weights_bf16.raw()};
    const auto inside = [&] {
      EXPECT_EQ(floats(n.all.weights), ema);
      EXPECT_EQ(floats(n.all.ema), weights);
      EXPECT_EQ(download(n.all.stream(), n.all.value_of(n.conv))[5], 0.75f);
      EXPECT_TRUE(n.all.weights.raw() == at[0] && n.all.ema.raw() == at[1] &&
                  n.all.weights_bf16.raw() == at[2]);
    };
    const auto after = [&] {
      EXPECT_EQ(floats(n.all.weights), weights);
      EXPECT_EQ(floats(n.all.ema), ema);
      EXPECT_EQ(download(n.all.stream(), n.all.value_of(n.conv))[5],
                type == DType::bf16 ? float(bf16(weights[5])) : weights[5]);
    };
    n.all.with_ema(inside);
    after();
    try {
      n.all.with_ema([&] {
        inside();
        throw RunError("stopped");
      });
      ADD_FAILURE() << "what is thrown goes on";
    } catch (const RunError& e) {
      EXPECT_STREQ(e.what(), "stopped");
    }
    after();
    bool called = false;
    EXPECT_THROW(none.all.with_ema([&] { called = true; }), CheckError);
    EXPECT_FALSE(called);
  }
}

TEST(Parameters, FinishGradientsZeroesWhatNothingReached) {
  Net n = make(1);
  const auto gradient = [&](ParamId id) { return floats(n.all.range_of(n.all.gradients, id)); };
  for (const Parameter& p : n.all.all())
    test::fill(n.all.range_of(n.all.gradients, {std::uint32_t(&p - n.all.all().data())}), 3);
  n.all.mark_written(n.bias);
  n.all.begin_gradients();
  EXPECT_FALSE(n.all.gradient_written(n.bias));
  n.all.mark_written(n.odd);
  n.all.finish_gradients();
  EXPECT_EQ(gradient(n.odd), std::vector<float>(101 * 103, 3));
  EXPECT_EQ(gradient(n.bias), std::vector<float>(5, 0));
  EXPECT_EQ(gradient(n.joint[1]), std::vector<float>(14, 0));
  const auto all = floats(n.all.gradients);
  for (const std::size_t i : padding(n.all)) ASSERT_EQ(all[i], 0) << i;
}

TEST(Parameters, RegistrationEndsWithAllocation) {
  Net n = make(1);
  EXPECT_THROW(n.all.add({.name = "late", .shape = {1}}), CheckError);
  Parameters nothing;
  EXPECT_THROW(nothing.allocate(test::device(), 1, true, true, DType::f32), CheckError);
}

}  // namespace
}  // namespace haze::engine
