// SPDX-License-Identifier: MIT
// matrix.h — the little linear algebra that comparing distributions
// needs, in double on the host: products, a factor of a covariance,
// eigenvalues. Sized for features of up to a few thousand dimensions.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace haze::model {

/// Row-major.
struct Matrix {
  int rows = 0, columns = 0;
  std::vector<double> values;

  Matrix() = default;
  Matrix(int r, int c) : rows(r), columns(c), values(std::size_t(r) * std::size_t(c)) {}
  std::span<double> operator[](int r) {
    return std::span(values).subspan(std::size_t(r) * columns, std::size_t(columns));
  }
  std::span<const double> operator[](int r) const {
    return std::span(values).subspan(std::size_t(r) * columns, std::size_t(columns));
  }
};

Matrix transposed(const Matrix& a);
/// A Bᵀ: every row of a with every row of b, which are equally long.
Matrix products_of_rows(const Matrix& a, const Matrix& b);

/// Rows f with FᵀF = c, as many as c's rank: Cholesky's factorisation with diagonal pivoting
/// (Higham, "Analysis of the Cholesky decomposition of a semi-definite matrix", 1990). It ends
/// where what is left is rounding, so a covariance of few samples gives few rows. c is symmetric
/// and positive semi-definite.
Matrix semidefinite_factor(const Matrix& c);

/// Eigenvalues of a symmetric matrix, ascending, each to a few roundings of the largest:
/// Householder's reduction to tridiagonal form, then bisection by Sturm's count (Barth, Martin and
/// Wilkinson 1967; Golub and Van Loan, "Matrix Computations", 8.3 and 8.4).
std::vector<double> symmetric_eigenvalues(Matrix a);

}  // namespace haze::model
