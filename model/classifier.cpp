// SPDX-License-Identifier: MIT
#include "model/classifier.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/adam.h"
#include "engine/device_tensor.h"
#include "engine/permutation.h"
#include "kernels/base/sizes.h"

namespace haze::model {

using engine::Shape;
using engine::Tensor;
using engine::Var;

namespace {

constexpr int kGroups = 8, kFirst = 32, kMost = 128, kShortest = 4;

/// Rows of bytes as [n,H,W,C] on the device, scaled to [-1,1].
Tensor upload(engine::Context& context, const ClassifierConfig& c, int n,
              const std::function<const std::uint8_t*(int)>& row) {
  const Shape shape{n, c.height, c.width, c.channels};
  const std::size_t image = shape.size() / std::size_t(n);
  std::vector<float> values(shape.size());
  for (int i = 0; i < n; ++i) {
    const std::uint8_t* from = row(i);
    float* to = values.data() + std::size_t(i) * image;
    for (std::size_t k = 0; k < image; ++k) to[k] = float(from[k]) / 127.5f - 1;
  }
  return engine::upload(context, shape, values);
}

std::size_t image_size(const ClassifierConfig& c) {
  return std::size_t(c.height) * std::size_t(c.width) * std::size_t(c.channels);
}

}  // namespace

Classifier::Classifier(const ClassifierConfig& config) : config_(config) {
  if (std::min(config.height, config.width) < kShortest || config.channels < 1)
    throw InputError(cat("classifier: images of ", config.height, "x", config.width, "x",
                         config.channels, "; sides of at least ", kShortest));
  if (config.classes < 2)
    throw InputError(cat("classifier: ", config.classes, " classes; at least 2"));
  LayerBuilder build(parameters_);
  int height = config.height, width = config.width, in = config.channels, out = kFirst;
  while (std::min(height, width) > kShortest) {
    const std::string name = cat("conv.", stages_.size());
    stages_.push_back({build.conv(name, in, out, 3, engine::Conv2dOptions::half_symmetric()),
                       build.norm(cat("norm.", stages_.size()), out, kGroups, 1e-5f)});
    height = (height + 1) / 2, width = (width + 1) / 2;
    in = out, out = std::min(2 * out, kMost);
  }
  hidden_ =
      build.linear("hidden",
                   checked_int("classifier: inputs of its hidden layer",
                               {std::uint64_t(height), std::uint64_t(width), std::uint64_t(in)}),
                   kFeatures);
  last_ = build.linear("logits", kFeatures, config.classes);
}

Classifier::Output Classifier::forward(engine::Tape& tape, Var x) {
  const Pass pass{tape, parameters_};
  for (const Stage& stage : stages_) {
    const Var y = stage.conv(pass, x);
    tape.release(x);
    x = stage.norm.swish(pass, y);
    tape.release(y);
  }
  const Tensor& last = tape.value(x);
  const int n = last.shape[0];
  const Var flat = engine::reshape(tape, x, {n, int(last.size() / std::size_t(n))});
  const Var features = engine::relu(tape, hidden_(pass, flat));
  return {features, last_(pass, features)};
}

void train(engine::Context& context, Classifier& classifier, const LabelledImages& images,
           const ClassifierTraining& o) {
  const ClassifierConfig& c = classifier.config();
  const std::size_t image = image_size(c);
  HAZE_CHECK(context.activations == DType::f32 && images.count >= 1 && o.batch >= 1 &&
                 images.images.size() == std::size_t(images.count) * image &&
                 images.labels.size() == std::size_t(images.count),
             images.count, " images: ", images.images.size(), " bytes, ", images.labels.size(),
             " labels");
  for (const std::int32_t label : images.labels)
    if (label < 0 || label >= c.classes)
      throw InputError(cat("classifier: label ", label, "; 0 to ", c.classes - 1));
  const int batch = std::min(o.batch, images.count);
  const int total = o.epochs * (images.count / batch);
  for (int step = 0; step < total; ++step) {
    std::vector<std::size_t> rows;
    std::vector<std::int32_t> labels;
    for (int i = 0; i < batch; ++i) {
      const std::uint64_t sample = std::uint64_t(step) * std::uint64_t(batch) + std::uint64_t(i);
      rows.push_back(engine::data_index(std::uint32_t(images.count), o.seed, sample));
      labels.push_back(images.labels[rows.back()]);
    }
    float loss = 0;
    bool updated = false;
    {
      classifier.parameters().begin_gradients();
      engine::Tape tape(context);
      const Var x = tape.leaf(upload(context, c, batch, [&](int i) {
        return images.images.data() + rows[std::size_t(i)] * image;
      }));
      const Var logits = classifier.forward(tape, x).logits;
      const Var mean =
          engine::cross_entropy(tape, logits, engine::upload(context, {batch}, labels));
      loss = engine::download(context, tape.value(mean))[0];
      tape.backward(mean);
      const double left = (1 + std::cos(std::numbers::pi * step / total)) / 2;
      const Tensor result = engine::adam_step(
          context, classifier.parameters(),
          engine::AdamOptions{.learning_rate = o.learning_rate * left}, std::uint32_t(step));
      updated = engine::download(context, result)[1] != 0;
    }
    if (!std::isfinite(loss))
      throw RunError(
          cat("classifier: the loss of step ", step, " is ", loss, "; try a lower learning rate"));
    if (!updated)
      throw RunError(cat("classifier: the gradient of step ", step,
                         " is not finite; try a lower learning rate"));
    context.arena.consolidate();
    if (o.progress) o.progress(step + 1, total, loss);
  }
}

Judgement judge(engine::Context& context, Classifier& classifier,
                std::span<const std::uint8_t> images, int count,
                const std::function<void(int, int)>& progress, int batch) {
  const ClassifierConfig& c = classifier.config();
  const std::size_t image = image_size(c);
  HAZE_CHECK(count >= 0 && batch >= 1 && images.size() == std::size_t(count) * image, count,
             " images of ", image, ", ", images.size(), " bytes");
  Judgement result;
  for (int first = 0; first < count; first += batch) {
    const int n = std::min(batch, count - first);
    engine::Tape tape(context, false);
    const auto out = classifier.forward(tape, tape.leaf(upload(context, c, n, [&](int i) {
      return images.data() + std::size_t(first + i) * image;
    })));
    const auto features = engine::download(context, tape.value(out.features));
    result.features.insert(result.features.end(), features.begin(), features.end());
    const auto logits = engine::download(context, tape.value(out.logits));
    for (auto row = logits.begin(); row != logits.end(); row += c.classes)
      result.labels.push_back(std::int32_t(std::max_element(row, row + c.classes) - row));
    if (progress) progress(first + n, count);
  }
  return result;
}

}  // namespace haze::model
