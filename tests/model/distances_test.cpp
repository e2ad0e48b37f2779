// SPDX-License-Identifier: MIT
// distances_test.cpp — Fréchet, kernel and sliced Wasserstein distance against numbers that PyTorch
// computed (tests/pytorch/record_metrics.py), and where the answer is known without it.
#include "model/eval/distances.h"

#include "engine/files/safetensors.h"
#include "tests/support/files.h"
#include "tests/support/paths.h"

namespace haze::model {
namespace {

using test::expect_close;
using test::expect_error;

const engine::SafetensorsReader& record() {
  static const engine::SafetensorsReader file(
      engine::disk(), test::source_dir() + "/tests/fixtures/metrics.safetensors");
  return file;
}

std::vector<double> recorded(const std::string& name) {
  const auto& entry = record().at(name);
  std::vector<double> values(entry.elements());
  if (entry.dtype == "F64") {
    record().read(entry, values.data());
  } else {
    const auto narrow = record().read_f32(entry);
    values.assign(narrow.begin(), narrow.end());
  }
  return values;
}

Matrix matrix(const std::string& name) {
  const auto& shape = record().at(name).shape;
  Matrix m = Matrix(int(shape[0]), int(shape[1]));
  m.values = recorded(name);
  return m;
}

Features features(const std::string& name) {
  const auto& entry = record().at(name);
  return {name, int(entry.shape[0]), int(entry.shape[1]), record().read_f32(entry)};
}

Features drawn(int n, int d, unsigned seed, double mean = 0, double std = 1) {
  const auto v = test::normal(std::size_t(n) * d, seed, mean, std);
  return {cat("set ", seed), n, d, {v.begin(), v.end()}};
}

TEST(Distances, EigenvaluesAreTheRecordedOnes) {
  // Each is off by a few roundings of the largest, 5.
  expect_close(symmetric_eigenvalues(matrix("eigen.matrix")), recorded("eigen.values"), 0, 1e-14,
               "eigenvalues");
  Matrix diagonal(3, 3);
  diagonal[0][0] = 2, diagonal[1][1] = -1, diagonal[2][2] = 0;
  expect_close(symmetric_eigenvalues(diagonal), std::vector<double>{-1, 0, 2}, 0, 1e-15,
               "diagonal");
  expect_close(symmetric_eigenvalues(Matrix(5, 5)), std::vector<double>(5), 0, 1e-15, "zeros");
}

TEST(Distances, AFactorHasTheRankAndGivesTheMatrixBack) {
  for (const char* set : {"many", "few"}) {
    const Matrix c = matrix(cat(set, ".covariance"));
    const Matrix f = semidefinite_factor(c);
    // n images centred about their mean span n - 1 dimensions.
    EXPECT_EQ(f.rows, std::min(c.rows, features(cat(set, ".a")).count - 1));
    const Matrix back = products_of_rows(transposed(f), transposed(f));
    const double largest = *std::max_element(c.values.begin(), c.values.end());
    expect_close(back.values, c.values, 0, 1e-13 * largest, set);
  }
  EXPECT_EQ(semidefinite_factor(Matrix(3, 3)).rows, 0);
}

TEST(Distances, ProductsOfRowsHoldForSizesThatDivideNothing) {
  Matrix a(71, 13), b(67, 13);
  a.values = test::normal(a.values.size(), 1), b.values = test::normal(b.values.size(), 2);
  const Matrix y = products_of_rows(a, b);
  std::vector<double> want;
  for (int i = 0; i < a.rows; ++i)
    for (int j = 0; j < b.rows; ++j) {
      double sum = 0;
      for (std::size_t k = 0; k < 13; ++k) sum += a[i][k] * b[j][k];
      want.push_back(sum);
    }
  expect_close(y.values, want, 0, 1e-13, "a bT");
}

TEST(Distances, AreTheRecordedOnes) {
  // Both sides compute in double from the same floats. Roots of eigenvalues near zero lose half the
  // digits: 1e-8 of the largest. 1e-6 leaves that room and would see any wrong term.
  for (const std::string set : {"many", "few"}) {
    const Features a = features(set + ".a"), b = features(set + ".b");
    const Moments ma = moments(a), mb = moments(b);
    expect_close(ma.mean, recorded(set + ".mean"), 1e-12, 1e-12, set + " mean");
    expect_close(ma.covariance.values, recorded(set + ".covariance"), 1e-11, 1e-11,
                 set + " covariance");
    expect_close(std::vector{frechet_distance(ma, mb)}, recorded(set + ".frechet"), 1e-6, 0,
                 set + " frechet");
    expect_close(std::vector{frechet_distance(mb, ma)}, recorded(set + ".frechet"), 1e-6, 0,
                 set + " frechet, other way round");
    const auto in_a = record().read_i32(record().at(set + ".in_a"));
    const auto in_b = record().read_i32(record().at(set + ".in_b"));
    expect_close(std::vector{kernel_distance(a, in_a, b, in_b)}, recorded(set + ".kid"), 1e-9, 0,
                 set + " kid");
    expect_close(std::vector{sliced_wasserstein(a, b, matrix(set + ".directions"))},
                 recorded(set + ".sliced_wasserstein"), 1e-9, 0, set + " sliced wasserstein");
  }
}

TEST(Distances, OfASetToItself) {
  for (const auto& [n, d] : {std::pair{40, 6}, {5, 30}}) {
    const Features a = drawn(n, d, 1, 5, 2);
    const Moments m = moments(a);
    EXPECT_LT(frechet_distance(m, m), 1e-6 * 4 * d)
        << n << " of " << d;  // half the digits, as above
    EXPECT_EQ(sliced_wasserstein(a, a, random_directions(7, d, 1)), 0);
  }
  // All images alike: no covariance at all, and distances that can be written down.
  Features one{"ones", 6, 3, std::vector<float>(18, 1)}, four = one;
  four.values.assign(18, 4);
  EXPECT_NEAR(frechet_distance(moments(one), moments(four)), 27, 1e-12);
  EXPECT_EQ(frechet_distance(moments(one), moments(one)), 0);
  Matrix axis(1, 3);
  axis[0][1] = 1;
  EXPECT_NEAR(sliced_wasserstein(one, four, axis), 3, 1e-12);
  // Kernel: 1·1·3/3 + 1 = 2, 4·4·3/3 + 1 = 17, 1·4·3/3 + 1 = 5.
  const auto kid = kernel_distance(one, four, {.subsets = 3, .size = 4});
  EXPECT_NEAR(kid.mean, 8 + 4913 - 2 * 125, 1e-9);
  EXPECT_NEAR(kid.deviation, 0, 1e-9);
}

TEST(Distances, OfGaussiansComeOutAsTheyMust) {
  // 4000 draws of N(0, 1)^5 and N(1, 2²)^5: Fréchet 5·(1 + (2-1)²) = 10; its estimate has a
  // standard error of about 2·sqrt(10)·sqrt(5/4000 + ...) = 0.35 at most. The sliced distance is
  // the root of E[(1·direction)² + 1] = sqrt(2), over 200 directions to about 0.05.
  const Features a = drawn(4000, 5, 1), b = drawn(4000, 5, 2, 1, 2);
  EXPECT_NEAR(frechet_distance(moments(a), moments(b)), 10, 1);
  EXPECT_NEAR(sliced_wasserstein(a, b, random_directions(200, 5, 3)), std::sqrt(2.0), 0.2);
  // Unbiased: of one distribution it is zero within its own spread.
  const auto same = kernel_distance(a, drawn(4000, 5, 4), {.subsets = 50, .size = 100});
  EXPECT_LT(std::abs(same.mean), 5 * same.deviation / std::sqrt(50.0));
  EXPECT_GT(kernel_distance(a, b, {.subsets = 50, .size = 100}).mean, 10 * same.deviation);
}

TEST(Distances, SubsetsAreAFunctionOfTheSeed) {
  const Features a = drawn(50, 4, 1), b = drawn(33, 4, 2, 0.5);
  const auto with = [&](std::uint64_t seed) { return kernel_distance(a, b, {9, 11, seed, {}}); };
  EXPECT_EQ(with(1).mean, with(1).mean);
  EXPECT_NE(with(1).mean, with(2).mean);
  EXPECT_GT(with(1).deviation, 0);
  // Whole sets: every subset is the set itself, in another order.
  const auto whole = kernel_distance(b, b, {5, 33, 1, {}});
  EXPECT_LT(whole.deviation, 1e-12);
  EXPECT_EQ(kernel_distance(a, b, {}).size, 3);  // a tenth of the smaller set
  int calls = 0;
  kernel_distance(a, b, {4, 2, 0, [&](int done, int total) {
                           EXPECT_EQ(done, ++calls);
                           EXPECT_EQ(total, 4);
                         }});
  EXPECT_EQ(calls, 4);
  const Matrix d = random_directions(5, 7, 1);
  for (int k = 0; k < 5; ++k) {
    double square = 0;
    for (const double v : d[k]) square += v * v;
    EXPECT_NEAR(square, 1, 1e-12);
    EXPECT_NE(d[k][0], d[(k + 1) % 5][0]);
  }
}

TEST(Distances, RefuseWhatHasNoAnswer) {
  const Features good = drawn(10, 3, 1), narrow = drawn(10, 2, 2), single = drawn(1, 3, 3);
  Features bad = drawn(10, 3, 4);
  bad.values[7] = NAN;
  expect_error<RunError>([&] { moments(bad); }, "set 4: image 2 has a feature that is nan");
  expect_error<RunError>([&] { kernel_distance(good, bad, {}); }, "set 4: image 2");
  bad.values[7] = INFINITY;
  expect_error<RunError>([&] { sliced_wasserstein(bad, good, random_directions(2, 3, 1)); },
                         "set 4: image 2 has a feature that is inf");
  expect_error<InputError>([&] { moments(single); }, "set 3: 1 images; at least 2");
  expect_error<InputError>([&] { kernel_distance(good, narrow, {}); },
                           "set 1 have 3 features, set 2 2");
  expect_error<InputError>([&] { kernel_distance(good, good, {.size = 11}); },
                           "KID subsets of 11 images; 2 to 10");
}

}  // namespace
}  // namespace haze::model
