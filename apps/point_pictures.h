// SPDX-License-Identifier: MIT
// point_pictures.h — clouds of 2-D points as pictures, and how well they lie on their curve.
#pragma once
#include <string>
#include <vector>

#include "apps/data/points.h"
#include "apps/image/scatter.h"

namespace haze::apps {

/// All of `points` [n,2] in one panel of 512x512 pixels, over the box of that set and its noise,
/// with the noiseless curve.
Image points_picture(PointSet set, std::span<const float> points);

/// Panels [n,2] of one size side by side, in rows of `columns`. Each shows the square around the
/// origin that has room for nearly all (98 %) of its points, and for the curve.
Image panels_picture(PointSet set, const std::vector<std::vector<float>>& panels, int columns);

/// Two lines: the mean distance, and the shares of the curve's tenths in per cent.
std::string to_text(const CurveFit& fit);

}  // namespace haze::apps
