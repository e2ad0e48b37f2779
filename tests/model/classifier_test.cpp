// SPDX-License-Identifier: MIT
// classifier_test.cpp — the classifier that judges samples: shapes, and that it learns.
#include "model/classifier.h"

#include "tests/model/networks.h"
#include "tests/support/files.h"
#include "tests/support/tape.h"

namespace haze::model {
namespace {

using test::expect_error, test::expect_input_error;

/// Three classes of 9x6 images: noise with a bright column that only the class tells the place of.
struct Columns {
  std::vector<std::uint8_t> images;
  std::vector<std::int32_t> labels;
  int count;
  explicit Columns(int n, unsigned seed) : count(n) {
    const auto noise = test::normal(std::size_t(n) * 54, seed, 100, 30);
    for (int i = 0; i < n; ++i) {
      labels.push_back((i * i + i / 2) % 3);
      for (int p = 0; p < 54; ++p)
        images.push_back(std::uint8_t(std::clamp(noise[std::size_t(i * 54 + p)], 0.0, 150.0) +
                                      (p % 6 == 1 + 2 * labels.back() ? 90 : 0)));
    }
  }
  LabelledImages labelled() const { return {images, labels, count}; }
};

TEST(Classifier, HalvesUntilFourPixels) {
  const auto names = [](const ClassifierConfig& c) {
    std::vector<std::string> all;
    Classifier classifier(c);
    for (const auto& p : classifier.parameters().all())
      if (p.is_weight) all.push_back(p.name + p.shape.str());
    return all;
  };
  EXPECT_EQ(names({28, 28, 1, 10}),
            (std::vector<std::string>{"conv.0.weight[32,3,3,1]", "conv.1.weight[64,3,3,32]",
                                      "conv.2.weight[128,3,3,64]", "hidden.weight[128,2048]",
                                      "logits.weight[10,128]"}));
  EXPECT_EQ(names({64, 37, 3, 2}).size(), 4u + 2u);  // 37, 19, 10, 5, 3 wide
  expect_error<InputError>([] { Classifier({3, 28, 1, 10}); }, "images of 3x28x1");
  expect_error<InputError>([] { Classifier({28, 28, 1, 1}); }, "1 classes; at least 2");
}

TEST(Classifier, OfAnyStatedSizeIsBuiltOrRefused) {
  Classifier({16384, 16384, 1024, 65536});
  expect_input_error([] { Classifier({4, 16384, 1024, 10}); }, "parameters with hidden");
  expect_input_error(
      [] {
        Classifier({4, 1 << 30, 1024, 10});
      },
      "inputs of its hidden layer: 4 x 1073741824 x 1024");
}

TEST(Classifier, LearnsAndIsTheSameWhateverTheBatchItJudgesIn) {
  const Columns training(300, 1), other(90, 2);
  const auto run = [&](std::uint64_t seed) {
    engine::Context context(test::device());
    Classifier classifier({9, 6, 1, 3});
    classifier.parameters().allocate(test::device(), seed, true, false, DType::f32);
    std::vector<float> losses;
    train(context, classifier, training.labelled(),
          {.epochs = 4, .batch = 30, .seed = seed, .progress = [&](int, int, float loss) {
             losses.push_back(loss);
           }});
    EXPECT_EQ(losses.size(), 40u);
    EXPECT_NEAR(losses.front(), std::log(3.0), 0.5);  // it knows nothing yet
    const Judgement whole = judge(context, classifier, other.images, other.count);
    const Judgement parts = judge(context, classifier, other.images, other.count, {}, 7);
    EXPECT_EQ(whole.labels, parts.labels);
    // Products of other sizes may add in another order: a few roundings of sums of some 100 terms.
    test::expect_close(parts.features, whole.features, 1e-4, 1e-4, "features");
    int right = 0;
    for (std::size_t i = 0; i < whole.labels.size(); ++i)
      right += whole.labels[i] == other.labels[i];
    EXPECT_GE(right, 87) << "of 90";  // by chance 30
    return losses;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(Classifier, RefusesLabelsOutOfRangeAndStopsAtALossThatIsNone) {
  Columns bad(8, 1);
  bad.labels[5] = 3;
  engine::Context context(test::device());
  Classifier classifier({9, 6, 1, 3});
  classifier.parameters().allocate(test::device(), 0, true, false, DType::f32);
  expect_error<InputError>([&] { train(context, classifier, bad.labelled(), {}); },
                           "label 3; 0 to 2");
  bad.labels[5] = 0;
  expect_error<RunError>(
      [&] { train(context, classifier, bad.labelled(), {.epochs = 9, .learning_rate = 1e30}); },
      "the loss of step");
}

}  // namespace
}  // namespace haze::model
