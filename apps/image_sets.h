// SPDX-License-Identifier: MIT
// image_sets.h — what `haze eval` compares: sets of images, drawn or read, and their features.
#pragma once
#include <functional>
#include <string>

#include "apps/classifier_file.h"
#include "apps/console.h"
#include "apps/data/dataset.h"
#include "model/eval/distances.h"
#include "model/inception.h"

namespace haze::apps {

/// Values [n,H,W,C] in the data's range as a set of images of bytes, which is how pictures are
/// saved and judged; points stay numbers. RunError naming the image for a value that is not finite.
Dataset as_images(const std::string& what, const std::vector<float>& values, int n, int height,
                  int width, int channels, bool zero_to_one);

/// A safetensors file as `haze sample --save-tensors` writes it (samples [n,C,H,W], with the range
/// of the values in its metadata; labels [n] if there are any), a folder of images, or a data set.
Dataset open_samples(const std::string& where);

/// Keeps the first n images.
void keep_first(Dataset& set, int n);

/// Where features come from: "pixels" (bytes scaled to [-1,1]), "classifier:FILE" (the last hidden
/// layer) or "inception:FILE" (Inception-v3, safetensors under pytorch-fid's names). InputError for
/// anything else, and for images that the network does not take.
class FeatureSource {
 public:
  FeatureSource(const std::string& spec, Stream stream, bool fusion);
  /// InputError if it cannot take images as those of the set are, or points; looks at no image.
  void check_takes(const Dataset& set, const std::string& what) const;
  /// `what` names the set in messages and on the bar.
  model::Features of(const Dataset& set, const std::string& what, Console& console) const;
  /// The classes that the classifier sees; only of a classifier.
  std::vector<std::int32_t> classes_of(const Dataset& set, Console& console) const;
  bool is_classifier() const { return bool(classifier_.network); }
  const ClassifierRecord& classifier() const { return classifier_.record; }
  std::string description() const;

 private:
  model::Judgement judge(const Dataset& set, const std::string& what, Console& console) const;
  std::string spec_;
  Stream stream_;
  bool fusion_;
  LoadedClassifier classifier_;
  std::unique_ptr<model::Inception> inception_;
};

}  // namespace haze::apps
