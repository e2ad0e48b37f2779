// classifier.cpp — `haze classifier`: a classifier of a data set, for haze eval to judge with.
#include <algorithm>
#include <cstdio>

#include "apps/classifier_file.h"
#include "apps/commands/commands.h"
#include "apps/data/dataset.h"
#include "apps/device.h"
#include "apps/json_writer.h"

namespace haze::apps {
namespace {

Dataset open_labelled(const std::string& spec, const DatasetOptions& options) {
  Dataset data = open_dataset(spec, options);
  if (data.is_points())
    throw InputError(cat("--data: ", spec, "; points are not images: the classifier takes images"));
  if (data.labels.empty())
    throw InputError(
        cat("--data: ", spec, " has no classes; a folder's images lie in a sub-folder per class"));
  return data;
}

/// Every tenth image goes from `data` to the set that is returned.
Dataset split_off(Dataset& data) {
  Dataset test = data;
  test.images.clear(), test.labels.clear();
  std::vector<std::uint8_t> images;
  std::vector<std::int32_t> labels;
  const std::size_t image = data.images.size() / std::size_t(data.count);
  for (int i = 0; i < data.count; ++i) {
    const auto row = data.images.begin() + std::ptrdiff_t(std::size_t(i) * image);
    auto& to = i % 10 == 9 ? test.images : images;
    to.insert(to.end(), row, row + std::ptrdiff_t(image));
    (i % 10 == 9 ? test.labels : labels).push_back(data.labels[std::size_t(i)]);
  }
  data.images = std::move(images), data.labels = std::move(labels);
  data.count = int(data.labels.size()), test.count = int(test.labels.size());
  if (test.count == 0) throw InputError(cat("--data: ", data.count, " images; at least 10"));
  return test;
}

}  // namespace

int run_classifier(const ClassifierOptions& o, Program program) {
  Console& console = program.console;
  if (o.data.empty()) throw InputError("--data: not given; the data set to learn, mnist:DIR, say");
  if (o.out.empty()) throw InputError("--out: not given; the safetensors file to write");
  const Stream stream = open_device(program.common);
  DatasetOptions as;
  if (!o.size.empty()) as.height = o.size[0], as.width = o.size[1];
  Dataset data = open_labelled(o.data, as);
  const ClassifierRecord base{
      {data.height, data.width, data.channels, int(data.class_names.size())},
      data.spec,
      data.fingerprint,
      o.epochs,
      o.seed,
      0};
  // The test images: asked for, or the data set's own, or a tenth put aside.
  std::string test_spec = o.test;
  const bool has_own = data.spec.starts_with("mnist:") || data.spec.starts_with("cifar10:");
  if (test_spec.empty() && has_own && data.spec.find('#') == data.spec.npos)
    test_spec = data.spec + "#test";
  Dataset test =
      test_spec.empty()
          ? split_off(data)
          : open_labelled(test_spec,
                          {.height = data.height, .width = data.width, .channels = data.channels});
  if (test.class_names != data.class_names)
    throw InputError(cat("--test: ", test_spec, " has other classes than ", o.data));

  model::Classifier network(base.config);
  network.parameters().allocate(stream, o.seed, true, false, DType::f32);
  console.info(cat("classifier of ", base.config.classes, " classes, ",
                   network.parameters().elements(), " parameters; ", data.count,
                   " images to learn, ", test.count, " to test on",
                   test_spec.empty() ? ", every tenth put aside" : "", "; seed ", o.seed, "; ",
                   device_description(stream)));
  engine::Context context(stream);
  context.fusion = o.fusion;
  console.detail(computing_on(stream, context.fusion));
  const auto start = std::chrono::steady_clock::now();
  model::train(
      context, network, {data.images, data.labels, data.count},
      {o.epochs, o.batch, o.learning_rate, o.seed, [&](int done, int total, float loss) {
         const double seconds =
             std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
         char text[32];
         std::snprintf(text, sizeof text, "%.4f", double(loss));
         console.progress(double(done) / total,
                          cat("step ", done, " of ", total, " loss ", text, " left ",
                              duration(seconds / done * (total - done))),
                          done == total);
       }});
  const auto judged = model::judge(context, network, test.images, test.count);
  int right = 0;
  for (std::size_t i = 0; i < test.labels.size(); ++i) right += judged.labels[i] == test.labels[i];
  ClassifierRecord record = base;
  record.accuracy = double(right) / test.count;
  console.clear_bar();
  save_classifier(o.out, network, record);
  if (o.json) {
    JsonWriter w;
    w.begin_object().field("classifier", o.out).field("data", o.data);
    w.field("test", test_spec.empty() ? "every tenth image" : test_spec);
    w.field("accuracy", record.accuracy).field("right", right).field("images", test.count);
    w.field("epochs", o.epochs).field("seed", o.seed).end_object();
    std::printf("%s\n", w.text().c_str());
  } else {
    std::printf("accuracy %.4f (%d of %d test images)\n%s\n", record.accuracy, right, test.count,
                o.out.c_str());
  }
  return 0;
}

}  // namespace haze::apps
