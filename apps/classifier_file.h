// SPDX-License-Identifier: MIT
// classifier_file.h — a trained classifier on disk: safetensors whose metadata say what it is for.
#pragma once
#include <memory>
#include <string>

#include "apps/data/classes.h"
#include "kernels/base/stream.h"
#include "model/classifier.h"

namespace haze::apps {

/// What is kept beside the weights.
struct ClassifierRecord {
  model::ClassifierConfig config;
  std::string data, fingerprint;  // what it was trained on, as --data named it, and its hash
  int epochs = 0;
  std::uint64_t seed = 0;
  double accuracy = 0;      // on the images that it was tested on
  ClassNames classes = {};  // none: it was made before names were kept
};

/// Writes weights under their own names in PyTorch's layout (`hidden.weight` takes its input in the
/// order height, width, channel), and the record as strings in the metadata.
void save_classifier(const std::string& path, const model::Classifier& classifier,
                     const ClassifierRecord& record);

struct LoadedClassifier {
  ClassifierRecord record;
  std::unique_ptr<model::Classifier> network;  // allocated for inference in f32
};
/// InputError for a file that save_classifier did not write, naming what is wrong.
LoadedClassifier load_classifier(const std::string& path, Stream stream);

}  // namespace haze::apps
