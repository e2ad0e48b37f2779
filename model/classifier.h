// SPDX-License-Identifier: MIT
// classifier.h — a small convolutional classifier of images, trained by haze itself: it judges what
// a generative model draws, and its last hidden layer gives the features of `haze eval`.
//
// 3x3 convolutions of stride 2, each with group normalisation and swish, halve the image until its
// shorter side is at most 4; channels double from 32 to at most 128. A hidden layer of 128 ReLUs
// follows, and a logit per class. Input is [N,H,W,C], bytes scaled to [-1,1].
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/layers.h"

namespace haze::model {

struct ClassifierConfig {
  int height = 0, width = 0, channels = 0, classes = 0;
  bool operator==(const ClassifierConfig&) const = default;
};

class Classifier {
 public:
  static constexpr int kFeatures = 128;
  /// Registers the parameters; they are not allocated. InputError for extents below 1, sides below
  /// 4 or fewer than two classes.
  explicit Classifier(const ClassifierConfig& config);

  struct Output {
    engine::Var features;  // [N,kFeatures], none negative
    engine::Var logits;    // [N,classes]
  };
  /// x [N,height,width,channels] in the type of the activations.
  Output forward(engine::Tape& tape, engine::Var x);

  const ClassifierConfig& config() const { return config_; }
  engine::Parameters& parameters() { return parameters_; }
  const engine::Parameters& parameters() const { return parameters_; }

 private:
  struct Stage {
    Conv conv;
    Norm norm;
  };
  ClassifierConfig config_;
  engine::Parameters parameters_;
  std::vector<Stage> stages_;
  Linear hidden_, last_;
};

/// Images as bytes [count,H,W,C] of the classifier's size, with a label each (training) or none.
struct LabelledImages {
  std::span<const std::uint8_t> images;
  std::span<const std::int32_t> labels;
  int count = 0;
};

struct ClassifierTraining {
  int epochs = 3, batch = 128;
  double learning_rate = 1e-3;  // of Adam; falls to 0 along half a cosine
  std::uint64_t seed = 0;
  /// Called after each step with (done, total, loss of the step).
  std::function<void(int, int, float)> progress = {};
};

/// Trains the classifier, whose parameters are allocated for training, in f32. The order of the
/// images is a function of the seed. InputError for a label outside [0, classes); RunError if the
/// loss or the gradient is not finite.
void train(engine::Context& context, Classifier& classifier, const LabelledImages& images,
           const ClassifierTraining& options);

/// What the classifier says of images.
struct Judgement {
  std::vector<float> features;       // [count, kFeatures]
  std::vector<std::int32_t> labels;  // [count], of the largest logit
};
/// `progress` is called after each batch with (images done, total).
Judgement judge(engine::Context& context, Classifier& classifier,
                std::span<const std::uint8_t> images, int count,
                const std::function<void(int, int)>& progress = {}, int batch = 250);

}  // namespace haze::model
