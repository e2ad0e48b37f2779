// SPDX-License-Identifier: MIT
#include "model/eval/matrix.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/check.h"

namespace haze::model {

namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// Σ_i a[r][i]·b[s][i] for 4x4 pairs of rows: each number fetched serves four products.
void four_by_four(const double* a, const double* b, std::size_t length, double (&out)[4][4]) {
  double s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
  double s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
  const double *a1 = a + length, *a2 = a1 + length, *a3 = a2 + length;
  const double *b1 = b + length, *b2 = b1 + length, *b3 = b2 + length;
#pragma omp simd reduction(+ : s00, s01, s02, s03, s10, s11, s12, s13, s20, s21, s22, s23, s30, \
                               s31, s32, s33)
  for (std::size_t i = 0; i < length; ++i) {
    s00 += a[i] * b[i], s01 += a[i] * b1[i], s02 += a[i] * b2[i], s03 += a[i] * b3[i];
    s10 += a1[i] * b[i], s11 += a1[i] * b1[i], s12 += a1[i] * b2[i], s13 += a1[i] * b3[i];
    s20 += a2[i] * b[i], s21 += a2[i] * b1[i], s22 += a2[i] * b2[i], s23 += a2[i] * b3[i];
    s30 += a3[i] * b[i], s31 += a3[i] * b1[i], s32 += a3[i] * b2[i], s33 += a3[i] * b3[i];
  }
  const double all[4][4] = {
      {s00, s01, s02, s03}, {s10, s11, s12, s13}, {s20, s21, s22, s23}, {s30, s31, s32, s33}};
  for (int r = 0; r < 4; ++r) std::copy_n(all[r], 4, out[r]);
}

/// A tridiagonal matrix: diagonal d [n], and e [n] with e[i] beside d[i] and d[i+1].
struct Tridiagonal {
  std::vector<double> d, e;
};

/// Overwrites a, symmetric with both halves filled.
Tridiagonal tridiagonalise(Matrix& a) {
  const int n = a.rows;
  Tridiagonal t{std::vector<double>(std::size_t(n)), std::vector<double>(std::size_t(n))};
  std::vector<double> v = t.d, p = t.d;
  for (int k = 0; k + 1 < n; ++k) {
    t.d[std::size_t(k)] = a[k][k];
    // Reflect row k behind the diagonal onto its first element: H = 1 - v vᵀ/scale.
    const std::size_t m = std::size_t(n - k - 1), first = std::size_t(k) + 1;
    const auto row = a[k].subspan(first);
    const double norm = std::sqrt(dot(row, row));
    if (norm == 0) continue;
    const double beta = row[0] > 0 ? -norm : norm;
    t.e[std::size_t(k)] = beta;
    std::copy(row.begin(), row.end(), v.begin());
    v[0] -= beta;
    const double scale = norm * norm - row[0] * beta;  // vᵀv/2
    const std::span<const double> vs(v.data(), m);
#pragma omp parallel for schedule(static)
    for (std::size_t i = 0; i < m; ++i) p[i] = dot(a[int(first + i)].subspan(first), vs) / scale;
    const double half = dot(std::span<const double>(p.data(), m), vs) / (2 * scale);
    for (std::size_t i = 0; i < m; ++i) p[i] -= half * v[i];
#pragma omp parallel for schedule(static)
    for (std::size_t i = 0; i < m; ++i) {
      double* to = a[int(first + i)].data() + first;
      const double vi = v[i], pi = p[i];
#pragma omp simd
      for (std::size_t j = 0; j < m; ++j) to[j] -= vi * p[j] + pi * v[j];
    }
  }
  t.d[std::size_t(n - 1)] = a[n - 1][n - 1];
  return t;
}

/// Eigenvalues below x: negative pivots of T - x (Sturm).
int count_below(const Tridiagonal& t, double x, double smallest) {
  int count = 0;
  double pivot = 1;
  for (std::size_t i = 0; i < t.d.size(); ++i) {
    pivot = t.d[i] - x - (i > 0 ? t.e[i - 1] * t.e[i - 1] / pivot : 0);
    if (std::abs(pivot) < smallest) pivot = -smallest;
    count += pivot < 0;
  }
  return count;
}

}  // namespace

Matrix transposed(const Matrix& a) {
  Matrix t(a.columns, a.rows);
#pragma omp parallel for schedule(static)
  for (int c = 0; c < a.columns; ++c)
    for (int r = 0; r < a.rows; ++r) t[c][std::size_t(r)] = a[r][std::size_t(c)];
  return t;
}

Matrix products_of_rows(const Matrix& a, const Matrix& b) {
  HAZE_CHECK(a.columns == b.columns, "rows of ", a.columns, " and of ", b.columns);
  Matrix y(a.rows, b.rows);
  const std::size_t length = std::size_t(a.columns);
  constexpr int kBlock = 64;  // rows of b that stay in the cache while a passes by
  [[maybe_unused]] const bool large = a.values.size() * std::size_t(b.rows) > 1000000;
  for (int first = 0; first < b.rows; first += kBlock) {
    const int last = std::min(first + kBlock, b.rows);
#pragma omp parallel for schedule(static) if (large)
    for (int r = 0; r < a.rows; r += 4)
      for (int c = first; c < last; c += 4) {
        if (r + 4 <= a.rows && c + 4 <= last) {
          double tile[4][4];
          four_by_four(a[r].data(), b[c].data(), length, tile);
          for (int i = 0; i < 4; ++i) std::copy_n(tile[i], 4, &y[r + i][std::size_t(c)]);
        } else {
          for (int i = r; i < std::min(r + 4, a.rows); ++i)
            for (int j = c; j < std::min(c + 4, last); ++j) y[i][std::size_t(j)] = dot(a[i], b[j]);
        }
      }
  }
  return y;
}

Matrix semidefinite_factor(const Matrix& c) {
  HAZE_CHECK(c.rows == c.columns, c.rows, "x", c.columns);
  const std::size_t n = std::size_t(c.rows);
  std::vector<double> left(n);  // the diagonal of what is not factored yet
  for (std::size_t i = 0; i < n; ++i) left[i] = c[int(i)][i];
  const double largest = n > 0 ? *std::max_element(left.begin(), left.end()) : 0;
  Matrix f(0, c.columns);
  while (std::size_t(f.rows) < n) {
    const auto at = std::max_element(left.begin(), left.end());
    const std::size_t p = std::size_t(at - left.begin());
    if (!(*at > double(n) * kEpsilon * largest)) break;
    const double root = std::sqrt(*at);
    std::vector<double> row(c[int(p)].begin(), c[int(p)].end());
    constexpr std::size_t kBlock = 256;
#pragma omp parallel for schedule(static)
    for (std::size_t first = 0; first < n; first += kBlock) {
      const std::size_t last = std::min(first + kBlock, n);
      for (int k = 0; k < f.rows; ++k) {
        const double* before = f[k].data();
        const double factor = before[p];
#pragma omp simd
        for (std::size_t j = first; j < last; ++j) row[j] -= factor * before[j];
      }
      for (std::size_t j = first; j < last; ++j) row[j] /= root;
    }
    for (std::size_t j = 0; j < n; ++j)
      left[j] = left[j] > 0 ? std::max(0.0, left[j] - row[j] * row[j]) : 0;
    left[p] = 0;
    f.values.insert(f.values.end(), row.begin(), row.end());
    ++f.rows;
  }
  return f;
}

std::vector<double> symmetric_eigenvalues(Matrix a) {
  HAZE_CHECK(a.rows == a.columns, a.rows, "x", a.columns);
  if (a.rows == 0) return {};
  const Tridiagonal t = tridiagonalise(a);
  const std::size_t n = t.d.size();
  double low = t.d[0], high = t.d[0];  // Gershgorin
  for (std::size_t i = 0; i < n; ++i) {
    const double around = std::abs(t.e[i]) + (i > 0 ? std::abs(t.e[i - 1]) : 0);
    low = std::min(low, t.d[i] - around), high = std::max(high, t.d[i] + around);
  }
  const double size = std::max(std::abs(low), std::abs(high));
  HAZE_CHECK(std::isfinite(size), "a matrix with values that are not finite");
  const double smallest = std::max(size, 1e-290) * 1e-18;
  std::vector<double> values(n);
#pragma omp parallel for schedule(dynamic, 16)
  for (std::size_t k = 0; k < n; ++k) {
    double below = low - kEpsilon * size, above = high + kEpsilon * size;
    for (int i = 0; i < 128 && above - below > kEpsilon * size; ++i) {
      const double middle = 0.5 * (below + above);
      (count_below(t, middle, smallest) > int(k) ? above : below) = middle;
    }
    values[k] = 0.5 * (below + above);
  }
  return values;
}

}  // namespace haze::model
