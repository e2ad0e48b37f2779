// SPDX-License-Identifier: MIT
// tape_test.cpp — what the tape promises: who keeps what alive, one backward, gradients only where
// asked for, and how they reach the flat buffer of the parameters.
#include "tests/support/tape.h"

#include "tests/support/device.h"

namespace haze::engine {
namespace {
using test::grad_of;
using test::leaf;
using test::value_of;
using Numbers = std::vector<double>;

/// y = x², with a rule that keeps x. `kept` is captured by the rule: its use count shows whether
/// the rule exists. `live` receives the arena's live bytes while the rule runs.
Var square(Tape& tape, Var x, std::shared_ptr<int> kept = nullptr, std::size_t* live = nullptr) {
  const Tensor in = tape.value(x);
  auto v = engine::download(tape.context(), in);
  for (float& e : v) e *= e;
  const Tensor y = engine::upload(tape.context(), in.shape, v);
  return tape.record("square", y, {x}, [=](Tape& t, const Tensor& dy) {
    if (live) *live = t.context().arena.live_bytes();
    auto g = engine::download(t.context(), dy);
    const auto at = engine::download(t.context(), in);
    for (std::size_t i = 0; i < g.size(); ++i) g[i] *= 2 * at[i];
    t.accumulate(x, engine::upload(t.context(), dy.shape, g));
    (void)kept;
  });
}

class TapeTest : public testing::Test {
 protected:
  Context context{test::device()};
  Tape tape{context};
};

TEST_F(TapeTest, AReleasedValueIsAnErrorAndItsRuleStillWorks) {
  const Var x = leaf(tape, {3}, {1, 2, 3});
  const Var y = square(tape, x), z = square(tape, y);
  tape.release(x);
  tape.release(y);
  test::expect_check([&] { tape.value(y); }, "the value of 'square' (1) was released");
  test::expect_check([&] { tape.value(x); }, "the value of 'leaf' (0) was released");
  tape.backward(z, test::to_tensor(tape, {3}, {1, 1, 1}));
  EXPECT_EQ(grad_of(tape, x), (Numbers{4, 32, 108}));  // d(x⁴) = 4x³
  tape.release({});                                    // an empty Var is allowed
}

TEST_F(TapeTest, ReleaseFreesMemoryThatNoRuleKeeps) {
  const Var x = leaf(tape, {1024}, Numbers(1024, 1));
  const Var y = add(tape, x, x);  // keeps nothing
  EXPECT_EQ(context.arena.live_bytes(), 2 * 4096u);
  tape.release(y);
  EXPECT_EQ(context.arena.live_bytes(), 4096u);
  const Var kept = square(tape, x);  // keeps x
  tape.release(x);
  EXPECT_EQ(context.arena.live_bytes(), 2 * 4096u);
  EXPECT_EQ(value_of(tape, kept)[1023], 1);
}

TEST_F(TapeTest, BackwardRunsOnce) {
  const Var x = leaf(tape, {1}, {3});
  const Var y = square(tape, x), z = square(tape, y);
  tape.backward(z);
  EXPECT_EQ(grad_of(tape, x), Numbers{108});
  test::expect_check([&] { tape.backward(z); }, "backward has already passed 'square' (2)");
  test::expect_check([&] { tape.backward(y); }, "backward has already passed 'square' (1)");
  EXPECT_EQ(grad_of(tape, x), Numbers{108});
}

TEST_F(TapeTest, ALossOnSpentValuesIsRefusedNotWrong) {
  // Two losses that share y: the second could no longer reach x through y.
  const Var x = leaf(tape, {1}, {3}), w = leaf(tape, {1}, {1});
  const Var y = square(tape, x);
  const Var first = square(tape, y), second = add(tape, y, w);
  tape.backward(first);
  test::expect_check([&] { tape.backward(second); }, "backward has already passed 'square' (2)");
}

TEST_F(TapeTest, GradientsOfLeavesAddUpOverLosses) {
  const Var x = leaf(tape, {1}, {3});
  const Var first = square(tape, x), second = add(tape, x, x);
  tape.backward(first);  // passes everything up to `first`; `second` lies above it
  tape.backward(second);
  EXPECT_EQ(grad_of(tape, x), Numbers{8});
}

TEST_F(TapeTest, GradientsOfIntermediatesAreConsumed) {
  const Var x = leaf(tape, {1}, {3});
  const Var y = square(tape, x), z = square(tape, y);
  tape.backward(z);
  EXPECT_FALSE(tape.grad(y));
  EXPECT_FALSE(tape.grad(z));
  EXPECT_TRUE(tape.grad(x));
  EXPECT_EQ(value_of(tape, z), Numbers{81});  // the loss itself stays readable
  test::expect_check([&] { tape.value(y); }, "was released");
}

TEST_F(TapeTest, NoRuleIsKeptWhereNothingNeedsAGradient) {
  const auto token = std::make_shared<int>();
  const Var frozen = leaf(tape, {2}, {1, 2}, false);
  const Var y = square(tape, frozen, token);
  EXPECT_FALSE(tape.needs_grad(y));
  EXPECT_EQ(token.use_count(), 1);
  const Var x = leaf(tape, {2}, {1, 2});
  const Var z = square(tape, x, token);
  EXPECT_TRUE(tape.needs_grad(z));
  EXPECT_EQ(token.use_count(), 2);
  tape.backward(add(tape, y, z), test::to_tensor(tape, {2}, {1, 1}));
  EXPECT_EQ(token.use_count(), 1);  // a rule dies once it has run
  EXPECT_FALSE(tape.grad(frozen));
  EXPECT_FALSE(tape.grad_of(frozen));
  EXPECT_FALSE(tape.grad_of({}));
}

TEST_F(TapeTest, WithoutRecordingNothingIsKept) {
  Tape inference(context, false);
  const auto token = std::make_shared<int>();
  const Var x = leaf(inference, {64}, Numbers(64, 2), true);
  const Var y = square(inference, x, token);
  EXPECT_FALSE(inference.needs_grad(x));
  EXPECT_EQ(token.use_count(), 1);
  inference.release(x);
  EXPECT_EQ(context.arena.live_bytes(), 256u);  // y alone
  test::expect_check([&] { inference.backward(y); },
                     "nothing upstream of 'square' needs a gradient");
}

TEST_F(TapeTest, BackwardFreesAsItGoesAndLeavesOnlyLeaves) {
  {
    Tape step(context);
    std::size_t in_last_rule = 0;
    const Var x = leaf(step, {64}, Numbers(64, 1));
    const Var y = square(step, square(step, square(step, x, nullptr, &in_last_rule)));
    EXPECT_EQ(context.arena.live_bytes(), 4 * 256u);
    step.backward(y, test::to_tensor(step, {64}, Numbers(64, 1)));
    // When the first square's rule runs only x, its own dy and the result y are left.
    EXPECT_EQ(in_last_rule, 3 * 256u);
    EXPECT_EQ(context.arena.live_bytes(), 3 * 256u);  // x, its gradient, y
    step.release(x);
    step.release(y);
    EXPECT_EQ(context.arena.live_bytes(), 256u);  // the gradient of x
  }
  EXPECT_EQ(context.arena.live_bytes(), 0u);
}

TEST_F(TapeTest, ABranchThatNoGradientReachesIsFreedToo) {
  const auto token = std::make_shared<int>();
  const Var x = leaf(tape, {1}, {3});
  const Var unused = square(tape, x, token);
  const Var y = square(tape, x);
  tape.backward(y);
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_EQ(grad_of(tape, x), Numbers{6});
  test::expect_check([&] { tape.value(unused); }, "was released");
}

TEST_F(TapeTest, SeedMustBeGivenUnlessTheLossIsOneNumber) {
  const Var x = leaf(tape, {2}, {1, 2});
  const Var y = square(tape, x);
  test::expect_check([&] { tape.backward(y); }, "a loss is one number, got [2]");
  tape.backward(y, test::to_tensor(tape, {2}, {0.5, 10}));
  EXPECT_EQ(grad_of(tape, x), (Numbers{1, 40}));
}

TEST_F(TapeTest, AGradientOfAnotherSizeIsRefused) {
  const Var x = leaf(tape, {2}, {1, 2});
  const Tensor three = test::to_tensor(tape, {3}, {1, 2, 3});
  test::expect_check([&] { tape.accumulate(x, three); }, "gradient [3] for 'leaf' of shape [2]");
}

TEST_F(TapeTest, ForeignVarsAreRefused) {
  test::expect_check([&] { tape.value({7}); }, "no value 7 on a tape of 0");
  test::expect_check([&] { tape.value({}); }, "no value");
}

TEST_F(TapeTest, HostCopiesRoundTripInBothTypes) {
  const Numbers v{0, -1.5, 3.25, 1e30};
  for (const DType type : {DType::f32, DType::bf16}) {
    const Tensor t = test::to_tensor(tape, {2, 2}, v, type);
    test::expect_close(test::values(tape, t), v, 2 * test::rounding(type), 0, name_of(type));
  }
  test::expect_check([&] { engine::upload(tape.context(), {3}, std::vector<float>{1}); },
                     "[3] holds 3 values, got 1");
  test::expect_check([&] { engine::download(tape.context(), test::to_tensor_i32(tape, {1})); },
                     "i32 is not a real type");
}

// ---- parameters on the tape ---------------------------------------------------------------------

/// q, k, v: registered jointly, a weight [2,2] each; and a bias [3] on its own.
struct Network {
  Parameters parameters;
  std::vector<ParamId> qkv;
  ParamId bias;
  explicit Network(DType activations = DType::f32, bool training = true) {
    const auto weight = [](const char* name) {
      return Parameter{
          .name = name, .shape = {2, 2}, .init = Init::uniform, .bound = 1, .is_weight = true};
    };
    qkv = parameters.add_joint({weight("q"), weight("k"), weight("v")});
    bias = parameters.add({.name = "bias", .shape = {3}, .init = Init::ones});
    parameters.allocate(test::device(), 7, training, false, activations);
  }
  Numbers gradient(const Tape& tape, ParamId id) const {
    return test::values(tape, parameters.range_of(parameters.gradients, id));
  }
};

TEST_F(TapeTest, ParameterGradientsOverwriteOnceThenAdd) {
  Network net;
  const auto use_twice = [&](double dy) {
    Tape t(context);
    const Var b = t.parameter(net.parameters, net.bias);
    const Var again = t.parameter(net.parameters, net.bias);  // shared by two layers
    t.backward(add(t, b, again), test::to_tensor(t, {3}, {dy, 2 * dy, 3 * dy}));
    EXPECT_EQ(grad_of(t, b), net.gradient(t, net.bias));
  };
  test::fill(net.parameters.gradients, NAN);  // last step's
  net.parameters.begin_gradients();
  use_twice(1);
  EXPECT_EQ(net.gradient(tape, net.bias), (Numbers{2, 4, 6}));
  use_twice(10);  // a second tape of the same step adds: an accumulated batch
  EXPECT_EQ(net.gradient(tape, net.bias), (Numbers{22, 44, 66}));
  net.parameters.begin_gradients();
  use_twice(1);
  EXPECT_EQ(net.gradient(tape, net.bias), (Numbers{2, 4, 6}));
}

TEST_F(TapeTest, ParametersThatNothingReachedHaveZeroGradient) {
  Network net;
  test::fill(net.parameters.gradients, NAN);
  net.parameters.begin_gradients();
  const Var b = tape.parameter(net.parameters, net.bias);
  tape.backward(square(tape, b), test::to_tensor(tape, {3}, {1, 1, 1}));
  EXPECT_TRUE(net.parameters.gradient_written(net.bias));
  net.parameters.finish_gradients();
  EXPECT_EQ(net.gradient(tape, net.bias), (Numbers{2, 2, 2}));
  for (const ParamId id : net.qkv) {
    EXPECT_FALSE(net.parameters.gradient_written(id));
    EXPECT_EQ(net.gradient(tape, id), Numbers(4, 0)) << net.parameters[id].name;
  }
}

TEST_F(TapeTest, JointParametersAreOneWeightAndThreeGradients) {
  Network net;
  const Var w = tape.joint_parameter(net.parameters, net.qkv);
  EXPECT_EQ(tape.value(w).shape, Shape({6, 2}));
  Numbers values;
  for (const ParamId id : net.qkv)
    values = test::join(values, test::values(tape, net.parameters.value_of(id)));
  EXPECT_EQ(value_of(tape, w), values);
  const Var again = tape.joint_parameter(net.parameters, net.qkv);
  const Numbers dy{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  tape.backward(add(tape, w, again), test::to_tensor(tape, {6, 2}, dy));
  EXPECT_EQ(net.gradient(tape, net.qkv[0]), (Numbers{2, 4, 6, 8}));
  EXPECT_EQ(net.gradient(tape, net.qkv[1]), (Numbers{10, 12, 14, 16}));
  EXPECT_EQ(net.gradient(tape, net.qkv[2]), (Numbers{18, 20, 22, 24}));
  EXPECT_EQ(grad_of(tape, w), test::times(dy, 2));
  for (const ParamId id : net.qkv) EXPECT_TRUE(net.parameters.gradient_written(id));
  EXPECT_FALSE(net.parameters.gradient_written(net.bias));
}

TEST_F(TapeTest, AJointParameterUsedAloneInTheSameStepIsRefused) {
  Network net;
  const Var q = tape.parameter(net.parameters, net.qkv[1]);
  const Var all = tape.joint_parameter(net.parameters, net.qkv);
  const Tensor dy = test::to_tensor(tape, {2, 2}, {1, 1, 1, 1});
  tape.backward(add(tape, q, q), dy);
  test::expect_check([&] { tape.grad_of(all); }, "'k' was also used alone");
}

TEST_F(TapeTest, WithoutTrainingAParameterNeedsNoGradient) {
  Network net(DType::f32, false);
  const auto token = std::make_shared<int>();
  const Var b = tape.parameter(net.parameters, net.bias);
  square(tape, b, token);
  EXPECT_FALSE(tape.needs_grad(b));
  EXPECT_EQ(token.use_count(), 1);
}

TEST(TapeBf16, WeightsAreConsumedInBf16AndTheirGradientsStayF32) {
  Network net(DType::bf16);
  Context context{test::device(), DType::bf16};
  Tape tape(context);
  const Var w = tape.parameter(net.parameters, net.qkv[0]),
            b = tape.parameter(net.parameters, net.bias);
  EXPECT_EQ(tape.value(w).dtype, DType::bf16);
  EXPECT_EQ(tape.value(b).dtype, DType::f32);
  Numbers rounded = test::values(tape, net.parameters.range_of(net.parameters.weights, net.qkv[0]));
  for (double& e : rounded) e = float(bf16(float(e)));
  EXPECT_EQ(value_of(tape, w), rounded);
  EXPECT_EQ(tape.grad_of(w).dtype, DType::f32);
  // 1 + 2^-9 needs more bits than bf16 has: the sum over uses must not be rounded to it.
  net.parameters.begin_gradients();
  tape.accumulate(w, test::to_tensor(tape, {2, 2}, {1, 1, 1, 1}, DType::bf16));
  tape.accumulate(w, test::to_tensor(tape, {2, 2}, Numbers(4, 0x1p-9), DType::bf16));
  EXPECT_EQ(net.gradient(tape, net.qkv[0]), Numbers(4, 1 + 0x1p-9));
  // A bf16 activation's gradient is bf16.
  const Var x = leaf(tape, {2}, {1, 2}, true, DType::bf16);
  EXPECT_EQ(tape.grad_of(x).dtype, DType::bf16);
}

}  // namespace
}  // namespace haze::engine
