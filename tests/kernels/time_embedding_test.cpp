// SPDX-License-Identifier: MIT
// time_embedding_test.cpp — the embedding of t: against the formula in double, and against numbers
// recorded with the systems whose conventions it follows.
#include "kernels/time_embedding/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::TimeEmbedding;

std::vector<double> embed(Stream stream, DType type, const std::vector<int>& t,
                          const TimeEmbedding& convention) {
  engine::Context context(stream, type);
  engine::Tape tape(context);
  const auto y = engine::time_embedding(tape, test::to_tensor_i32(tape, t), convention);
  EXPECT_EQ(tape.value(y).dtype, type);
  EXPECT_EQ(tape.value(y).shape, (engine::Shape{int(t.size()), convention.dim}));
  EXPECT_FALSE(tape.needs_grad(y));
  return test::value_of(tape, y);
}

TEST(TimeEmbedding, MatchesTheFormulaInEveryConvention) {
  const std::vector<int> t{0, 1, 2, 17, 500, 999, 1000};
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const int dim : {4, 32, 70, 256, 2 * 1029})
        for (const bool cosine_first : {false, true})
          for (const float shift : {0.0f, 1.0f})
            for (const bool step_first : {false, true}) {
              const kernels::TimeEmbeddingDims d{int(t.size()), dim, cosine_first, shift,
                                                 step_first};
              std::vector<double> want(t.size() * std::size_t(dim));
              kernels::reference::time_embedding(d, t.data(), want.data());
              const auto got = embed(stream, type, t, {dim, cosine_first, shift, step_first});
              // The angle a = t·exp(-e) has three roundings in e and two after: a·(3e + 2)·2^-24,
              // at most 1000·2.3·2^-24 (at e = 1/3), and the result one rounding to the type.
              test::expect_close(got, want, 2 * test::rounding(type),
                                 1000 * 2.3 * 0x1p-24 + 0x1p-24,
                                 cat("dim ", dim, " shift ", shift, ' ', name_of(type)));
            }
}

// Row t = 999 of width 32, recorded with PyTorch 2 (f32): diffusers' get_timestep_embedding with
// the options of google/ddpm-*, the same with its class defaults, and labml's TimeEmbedding.
const std::vector<double> kGoogle{
    -0.0264607519, 0.27098918,   -0.392618924, 0.949360192,  -0.758377969, 0.684869766,
    -0.038985163,  0.848742425,  0.875216126,  -0.74162966,  0.835648954,  0.918689072,
    0.589408457,   0.334536552,  0.183553606,  0.0997339115, 0.999649823,  0.962582409,
    -0.919701219,  0.314189881,  -0.651815057, -0.728665531, 0.999239802,  0.528806448,
    0.483732134,   -0.670809507, -0.549263835, 0.394981563,  0.807835162,  0.942382753,
    0.983009696,   0.995014131};
const std::vector<double> kDiffusersDefault{
    0.999649823,  -0.844002724, -0.180473521,  -0.149567693, 0.807455063,   0.932046115,
    0.984687209,  0.467314929,  -0.844469786,  0.786672056,  -0.999846518,  -0.204257205,
    0.541143537,  0.846308887,  0.950513542,   0.984261692,  -0.0264607519, 0.536338866,
    0.983579874,  0.988751471,  -0.589929104,  -0.362339735, 0.174330339,   -0.8840909,
    -0.535603166, -0.617371082, -0.0175208114, 0.978917241,  0.840930223,   0.532692492,
    0.310683072,  0.176717162};
const std::vector<double> kLabml{
    -0.0264607519, 0.27098918,   -0.392618924, 0.94936496,   -0.758377969, 0.684861422,
    -0.0389794447, 0.848742425,  0.875216126,  -0.741630793, 0.835648477,  0.918689072,
    0.589408696,   0.334536731,  0.183553606,  0.0997339115, 0.999649823,  0.962582409,
    -0.919701219,  0.314175397,  -0.651815057, -0.728673339, 0.999239981,  0.528806448,
    0.483732134,   -0.670808315, -0.549264669, 0.394981563,  0.807834983,  0.942382693,
    0.983009696,   0.995014131};

TEST(TimeEmbedding, RoundsWherePyTorchDoes) {
  for (const Stream stream : test::streams()) {
    // Equal frequencies, so only the sine's own rounding is left: 1e-7. Google's and labml's rows
    // differ by 1.5e-5, so this tells them apart.
    test::expect_close(embed(stream, DType::f32, {999}, {32, false, 1, false}), kGoogle, 0, 1.2e-7,
                       "google");
    test::expect_close(embed(stream, DType::f32, {999}, {32, true, 0, false}), kDiffusersDefault, 0,
                       1.2e-7, "diffusers' class default");
    test::expect_close(embed(stream, DType::f32, {999}, {32, false, 1, true}), kLabml, 0, 1.2e-7,
                       "labml");
  }
}

TEST(TimeEmbedding, RefusesWhatHasNoFrequencies) {
  test::expect_check([] { embed(CpuStream{}, DType::f32, {1}, {7}); }, "dim 7");
  test::expect_check([] { embed(CpuStream{}, DType::f32, {1}, {0}); }, "dim 0");
  test::expect_check(
      [] {
        embed(CpuStream{}, DType::f32, {1}, {2, false, 1});
      },
      "dim/2 > freq_shift");
}

}  // namespace
}  // namespace haze
