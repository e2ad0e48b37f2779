// SPDX-License-Identifier: MIT
#include "model/eval/distances.h"

#include <algorithm>
#include <cmath>

#include "engine/permutation.h"
#include "engine/random.h"
#include "kernels/base/check.h"

namespace haze::model {

namespace {

void check(const Features& f) {
  HAZE_CHECK(f.count >= 0 && f.dimensions > 0 &&
                 f.values.size() == std::size_t(f.count) * std::size_t(f.dimensions),
             f.what, ": ", f.count, " rows of ", f.dimensions, ", ", f.values.size(), " values");
  if (f.count < 2) throw InputError(cat(f.what, ": ", f.count, " images; at least 2"));
  for (std::size_t i = 0; i < f.values.size(); ++i)
    if (!std::isfinite(f.values[i]))
      throw RunError(cat(f.what, ": image ", i / std::size_t(f.dimensions),
                         " has a feature that is ", f.values[i],
                         "; distances need finite numbers"));
}

void check(const Features& a, const Features& b) {
  check(a), check(b);
  if (a.dimensions != b.dimensions)
    throw InputError(cat(a.what, " have ", a.dimensions, " features, ", b.what, " ", b.dimensions,
                         "; the same number is needed"));
}

/// The named rows in double.
Matrix rows_of(const Features& f, std::span<const int> rows) {
  Matrix m(int(rows.size()), f.dimensions);
  for (int i = 0; i < m.rows; ++i) {
    const int row = rows[std::size_t(i)];
    HAZE_CHECK(row >= 0 && row < f.count, "row ", row, " of ", f.count);
    std::copy_n(f.row(row), f.dimensions, m[i].begin());
  }
  return m;
}

/// Σ of (x·y/d + 1)³ over all pairs of rows, those of equal index left out if `without_diagonal`.
double kernel_sum(const Matrix& a, const Matrix& b, bool without_diagonal) {
  const Matrix dots = products_of_rows(a, b);
  double sum = 0;
  for (int i = 0; i < dots.rows; ++i) {
    const auto row = dots[i];
    double of_row = 0;
    for (std::size_t j = 0; j < row.size(); ++j) {
      const double k = row[j] / a.columns + 1;
      if (!(without_diagonal && j == std::size_t(i))) of_row += k * k * k;
    }
    sum += of_row;
  }
  return sum;
}

/// The squared 2-Wasserstein distance of two sorted samples: the integral over u in (0, 1] of the
/// squared difference of their quantile functions, which are steps of 1/count.
double squared_wasserstein(const std::vector<double>& a, const std::vector<double>& b) {
  const std::uint64_t n = a.size(), m = b.size();
  double sum = 0;
  std::uint64_t at = 0;  // u·n·m
  for (std::size_t i = 0, j = 0; i < n && j < m;) {
    const std::uint64_t end_a = (i + 1) * m, end_b = (j + 1) * n, end = std::min(end_a, end_b);
    sum += double(end - at) * (a[i] - b[j]) * (a[i] - b[j]);
    at = end;
    i += end_a == end, j += end_b == end;
  }
  return sum / (double(n) * double(m));
}

}  // namespace

Moments moments(const Features& f) {
  check(f);
  const std::size_t d = std::size_t(f.dimensions);
  Moments m;
  m.mean.assign(d, 0);
  for (int i = 0; i < f.count; ++i)
    for (std::size_t j = 0; j < d; ++j) m.mean[j] += double(f.row(i)[j]);
  for (double& mean : m.mean) mean /= f.count;
  // The centred features, a row per dimension, multiplied with themselves.
  Matrix centred(f.dimensions, f.count);
  const double scale = 1 / std::sqrt(double(f.count - 1));
#pragma omp parallel for schedule(static)
  for (int j = 0; j < f.dimensions; ++j)
    for (int i = 0; i < f.count; ++i)
      centred[j][std::size_t(i)] = (double(f.row(i)[j]) - m.mean[std::size_t(j)]) * scale;
  m.covariance = products_of_rows(centred, centred);
  return m;
}

double frechet_distance(const Moments& a, const Moments& b) {
  HAZE_CHECK(a.mean.size() == b.mean.size(), a.mean.size(), " and ", b.mean.size(), " features");
  double distance = 0;
  for (std::size_t i = 0; i < a.mean.size(); ++i) {
    const double difference = a.mean[i] - b.mean[i];
    distance += difference * difference + a.covariance[int(i)][i] + b.covariance[int(i)][i];
  }
  const Matrix f = semidefinite_factor(a.covariance);
  if (f.rows == 0) return distance;
  // F C_b, then (F C_b) Fᵀ; C_b is its own transpose.
  for (const double v :
       symmetric_eigenvalues(products_of_rows(products_of_rows(f, b.covariance), f)))
    distance -= 2 * std::sqrt(std::max(v, 0.0));
  return std::max(distance, 0.0);  // a distance of 0 may come out as -1e-16
}

double kernel_distance(const Features& a, std::span<const int> in_a, const Features& b,
                       std::span<const int> in_b) {
  HAZE_CHECK(in_a.size() == in_b.size() && in_a.size() >= 2, in_a.size(), " and ", in_b.size(),
             " rows; equally many, at least 2");
  const Matrix x = rows_of(a, in_a), y = rows_of(b, in_b);
  const double n = double(in_a.size());
  return (kernel_sum(x, x, true) + kernel_sum(y, y, true)) / (n * (n - 1)) -
         2 * kernel_sum(x, y, false) / (n * n);
}

KernelDistance kernel_distance(const Features& a, const Features& b, const KernelSubsets& o) {
  check(a, b);
  const int smaller = std::min(a.count, b.count);
  const int size = o.size > 0 ? o.size : std::clamp(smaller / 10, 2, 1000);
  if (size < 2 || size > smaller)
    throw InputError(
        cat("KID subsets of ", size, " images; 2 to ", smaller, ", the images of the smaller set"));
  HAZE_CHECK(o.subsets >= 1, o.subsets, " subsets");
  KernelDistance result{0, 0, o.subsets, size};
  std::vector<double> values;
  for (int k = 0; k < o.subsets; ++k) {
    // The first images of a shuffle of its own per set and subset.
    const std::uint32_t epoch = 2 * std::uint32_t(k);
    const engine::Permutation of_a(std::uint32_t(a.count), o.seed, epoch);
    const engine::Permutation of_b(std::uint32_t(b.count), o.seed, epoch + 1);
    std::vector<int> in_a, in_b;
    for (std::uint32_t i = 0; i < std::uint32_t(size); ++i)
      in_a.push_back(int(of_a(i))), in_b.push_back(int(of_b(i)));
    values.push_back(kernel_distance(a, in_a, b, in_b));
    result.mean += values.back() / o.subsets;
    if (o.progress) o.progress(k + 1, o.subsets);
  }
  for (const double v : values)
    result.deviation += (v - result.mean) * (v - result.mean) / o.subsets;
  result.deviation = std::sqrt(result.deviation);
  return result;
}

Matrix random_directions(int count, int dimensions, std::uint64_t seed) {
  HAZE_CHECK(count >= 1 && dimensions >= 1, count, " directions of ", dimensions);
  Matrix directions(count, dimensions);
  const RandomKey key{seed, engine::streams::kDirections, 0};
  for (int k = 0; k < count; ++k) {
    auto row = directions[k];
    double square = 0;
    for (int i = 0; i < dimensions; i += 4) {
      float four[4];
      normal4(key, std::uint32_t(k), std::uint32_t(i / 4), four);
      for (int j = i; j < std::min(i + 4, dimensions); ++j) {
        row[std::size_t(j)] = double(four[j - i]);
        square += row[std::size_t(j)] * row[std::size_t(j)];
      }
    }
    for (double& v : row) v /= std::sqrt(square);
  }
  return directions;
}

double sliced_wasserstein(const Features& a, const Features& b, const Matrix& directions) {
  check(a, b);
  HAZE_CHECK(directions.rows >= 1 && directions.columns == a.dimensions, directions.rows,
             " directions of ", directions.columns, " for features of ", a.dimensions);
  const auto projections = [&](const Features& f) {
    std::vector<int> all;
    for (int i = 0; i < f.count; ++i) all.push_back(i);
    return products_of_rows(directions, rows_of(f, all));
  };
  const Matrix on_a = projections(a), on_b = projections(b);
  std::vector<double> squares(std::vector<double>::size_type(directions.rows), 0.0);
#pragma omp parallel for schedule(static)
  for (int k = 0; k < directions.rows; ++k) {
    std::vector<double> x(on_a[k].begin(), on_a[k].end()), y(on_b[k].begin(), on_b[k].end());
    std::sort(x.begin(), x.end()), std::sort(y.begin(), y.end());
    squares[std::size_t(k)] = squared_wasserstein(x, y);
  }
  double sum = 0;
  for (const double s : squares) sum += s;
  return std::sqrt(sum / directions.rows);
}

}  // namespace haze::model
