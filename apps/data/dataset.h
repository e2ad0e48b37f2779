// SPDX-License-Identifier: MIT
// dataset.h — a data set of images, decoded once and kept as bytes, or of 2-D points.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "apps/data/classes.h"

namespace haze::apps {

struct Dataset {
  std::string spec;  // what it was opened by
  int count = 0, height = 0, width = 0, channels = 0;
  // [count, height, width, channels]. One of the two is empty: images are bytes; points are images
  // of 1x1x2 whose values are taken as they are.
  std::vector<std::uint8_t> images;
  std::vector<float> values;
  std::vector<std::int32_t> labels;  // [count], index into class_names; empty: no classes
  ClassNames class_names;            // of the labels 0, 1, ...
  std::string fingerprint;           // XXH3-128 of all that training can see
  bool grey_as_colour = false;       // three channels that agree in every image of a folder
  int skipped = 0;                   // bad files left out (DatasetOptions::skip_bad)
  std::vector<std::string> notes;    // one line each, for the user: what was left out and why

  bool is_points() const { return !values.empty(); }
};

struct DatasetOptions {
  /// Size of the images; one of the two alone means a square. Not given: as they are stored, and
  /// then all files of a folder must have one size.
  std::optional<int> height = {}, width = {};
  /// 1 or 3. A folder's files are converted (default 3);
  /// other sets must have it already: points have 2.
  std::optional<int> channels = {};
  /// Name of a class: only its images are kept, and the labels stay what they were. Empty: all.
  std::string label = {};
  /// How the sub-folders of images:DIR are counted. Other sets have their own fixed classes.
  ClassOrder order = {};
  /// Leave out files of a folder that would be refused, at most max_skipped of them.
  bool skip_bad = false;
  int max_skipped = std::numeric_limits<int>::max();
};

/// Opens a data set:
///   synthetic:digits[:N]  28x28x1, drawn by the program, labels 0-9, N = 10000
///   synthetic:shapes[:N]  32x32x3, circles, squares and triangles, labels 0-2
///   mnist:DIR[#test]      the four IDX files under their original names, plain or .gz,
///                         in DIR or a folder below (MNIST/raw)
///   cifar10:DIR[#test]    data_batch_1.bin .. data_batch_5.bin, or test_batch.bin
///   points:s_curve|moons|swiss_roll[:N]  2-D points (points.h), N = 10000; the moons have labels
///   images:DIR            every JPEG and PNG below DIR in bytewise order of their paths; the first
///                         sub-folder is the class, counted in natural order (2 before 10)
/// A size that differs from the stored one: scaled until it covers the asked size, then cut around
/// the centre. Files of a folder are only ever made smaller.
/// Throws InputError naming the file, what is wrong with it, and what is allowed.
Dataset open_dataset(const std::string& spec, const DatasetOptions& options = {});

/// One channel in place of three that agree (Dataset::grey_as_colour).
void make_grey(Dataset& set);

}  // namespace haze::apps
