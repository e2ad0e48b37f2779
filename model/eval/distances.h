// SPDX-License-Identifier: MIT
// distances.h — how far two sets of images are apart, told from their features: Fréchet distance,
// kernel distance (KID) and sliced Wasserstein distance. All in double on the host; the sets' order
// does not matter (but to the subsets of KID). docs/eval.md says what each number means.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "model/eval/matrix.h"

namespace haze::model {

/// A row per image. Every function below throws RunError, naming `what` and the row, for a value
/// that is not finite, and InputError for too few rows or rows of unequal length.
struct Features {
  std::string what;  // "samples", for messages
  int count = 0, dimensions = 0;
  std::vector<float> values;  // [count, dimensions]
  const float* row(int i) const { return values.data() + std::size_t(i) * dimensions; }
};

/// Mean [d] and covariance [d,d] over count - 1, as numpy.cov has it. At least two rows.
struct Moments {
  std::vector<double> mean;
  Matrix covariance;
};
Moments moments(const Features& features);

/// |m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½): the squared 2-Wasserstein distance of two
/// Gaussians (Dowson and Landau 1982), which over Inception features is the FID of Heusel et al.
/// 2017 (arXiv 1706.08500). With C_a = FᵀF the trace of the root is the sum of the roots of the
/// eigenvalues of F C_b Fᵀ, which is symmetric; so covariances without full rank need no care.
double frechet_distance(const Moments& a, const Moments& b);

/// Subsets of the kernel distance.
struct KernelSubsets {
  int subsets = 100;
  int size = 0;  // rows of either set in a subset; 0: a tenth of the smaller set, 2 to 1000
  std::uint64_t seed = 0;
  /// Called after each subset with (done, total); may be empty.
  std::function<void(int, int)> progress = {};
};
struct KernelDistance {
  double mean = 0, deviation = 0;  // over the subsets; deviation over their number, as numpy.std
  int subsets = 0, size = 0;
};
/// The unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012, eq. 3) under
/// the kernel (x·y/d + 1)³: KID, Bińkowski et al. 2018 (arXiv 1801.01401), over random subsets
/// drawn without repetition from either set. Unbiased: it is negative about half the time if the
/// distributions are one.
KernelDistance kernel_distance(const Features& a, const Features& b, const KernelSubsets& options);
/// One subset: rows `in_a` of a and as many rows `in_b` of b, at least 2 each.
double kernel_distance(const Features& a, std::span<const int> in_a, const Features& b,
                       std::span<const int> in_b);

/// `count` directions of length 1, uniform on the sphere: normals of Philox, divided by their norm.
Matrix random_directions(int count, int dimensions, std::uint64_t seed);
/// The square root of the mean over the directions of the squared 2-Wasserstein distance between
/// the sets' projections (Bonneel et al. 2015), exact for sets of unequal size too.
double sliced_wasserstein(const Features& a, const Features& b, const Matrix& directions);

}  // namespace haze::model
