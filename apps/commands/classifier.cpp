// SPDX-License-Identifier: MIT
// classifier.cpp — `haze classifier`: a classifier of a data set, for haze eval to judge with.
#include <algorithm>
#include <cstdio>

#include "apps/classifier_file.h"
#include "apps/command.h"
#include "apps/data/dataset.h"
#include "apps/data/input_file.h"
#include "apps/device.h"
#include "apps/flag_groups.h"
#include "apps/json_writer.h"
#include "apps/standard_output.h"

namespace haze::apps {
namespace {

struct ClassifierOptions {
  std::string data, test, out;
  std::vector<int> size;  // height, width; empty: as the data is
  int epochs = 3, batch = 128;
  double learning_rate = 1e-3;
  std::uint64_t seed = 0;
  bool json = false, fusion = true;
};

void add_flags(Flags& flags, ClassifierOptions& c) {
  flags.group("What to learn");
  flags.input("--data", c.data, "SPEC", "data set with classes, e.g. mnist:DIR, images:DIR",
              "HAZE_DATA");
  flags.value("--size", "HxW", "resize to height x width, the network's [as the data]",
              [&c](const std::string& s) { c.size = size_of(s); });
  flags.input("--test", c.test, "SPEC",
              "images for the accuracy [SPEC#test, or every tenth image]");
  flags.number("--epochs", c.epochs, 1, 10000, "passes through the data [3]");
  flags.number("--batch", c.batch, 1, 65536, "images per step [128]");
  flags.number("--learning-rate", c.learning_rate, 0, 1, "of Adam, at the start [0.001]");
  flags.value("--seed", "N|random", "[0]", [&c](const std::string& s) { c.seed = seed_of(s); });
  flags.group("Result");
  flags.output("--out", c.out, OutputKind::tensors, "FILE", "safetensors file to write");
  flags.boolean("--json", c.json, "one JSON document on standard output");
  compute_flags(flags, c.fusion);
}

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

struct Sets {
  Dataset learn, test;
  std::string test_spec;  // "": every tenth image of the data set
};

/// The test images are those asked for, or the data set's own, or a tenth put aside.
Sets open_sets(const ClassifierOptions& o) {
  DatasetOptions as;
  if (!o.size.empty()) as.height = o.size[0], as.width = o.size[1];
  Sets sets{open_labelled(o.data, as), {}, o.test};
  Dataset& data = sets.learn;
  const bool has_own = data.spec.starts_with("mnist:") || data.spec.starts_with("cifar10:");
  if (o.test.empty() && has_own && data.spec.find('#') == data.spec.npos)
    sets.test_spec = data.spec + "#test";
  as = {.height = data.height, .width = data.width, .channels = data.channels};
  as.order.known = data.class_names;
  sets.test = sets.test_spec.empty() ? split_off(data) : open_labelled(sets.test_spec, as);
  if (sets.test.class_names != data.class_names)
    throw InputError(cat("--test: ", sets.test_spec, " has other classes than ", o.data));
  return sets;
}

void train(engine::Context& context, model::Classifier& network, const Dataset& data,
           const ClassifierOptions& o, Console& console) {
  const Stopwatch watch;
  const auto progress = [&](int done, int total, float loss) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4f", double(loss));
    console.progress(
        double(done) / total,
        cat("step ", done, " of ", total, " loss ", text, " left ", watch.left(done, total)),
        done == total);
  };
  model::train(context, network, {data.images, data.labels, data.count},
               {o.epochs, o.batch, o.learning_rate, o.seed, progress});
}

/// The number of test images whose class it says.
int right_answers(engine::Context& context, model::Classifier& network, const Dataset& test) {
  const auto judged = model::judge(context, network, test.images, test.count);
  int right = 0;
  for (std::size_t i = 0; i < test.labels.size(); ++i) right += judged.labels[i] == test.labels[i];
  return right;
}

void print(const ClassifierOptions& o, const Sets& sets, double accuracy, int right) {
  if (!o.json) {
    print_formatted("accuracy %.4f (%d of %d test images)\n%s\n", accuracy, right, sets.test.count,
                    printable(o.out).c_str());
    return;
  }
  JsonWriter w;
  w.begin_object().field("classifier", o.out).field("data", o.data);
  w.field("test", sets.test_spec.empty() ? "every tenth image" : sets.test_spec);
  w.field("accuracy", accuracy).field("right", right).field("images", sets.test.count);
  w.field("epochs", o.epochs).field("seed", o.seed).end_object();
  apps::print(w.text() + "\n");
}

int run(const ClassifierOptions& o, const Program& program) {
  Console& console = program.console;
  if (o.data.empty()) throw InputError("--data: not given; the data set to learn, mnist:DIR, say");
  if (o.out.empty()) throw InputError("--out: not given; the safetensors file to write");
  if (o.out == "-") throw InputError("--out: -; a file: standard output has the accuracy");
  const Stream stream = open_device(program.common);
  const Sets sets = open_sets(o);
  const Dataset& data = sets.learn;
  ClassifierRecord record{{data.height, data.width, data.channels, int(data.class_names.size())},
                          data.spec,
                          data.fingerprint,
                          o.epochs,
                          o.seed,
                          0,
                          data.class_names};
  class_lines(record.classes);  // throws for more than its file keeps
  model::Classifier network(record.config);
  network.parameters().allocate(stream, o.seed, true, false, DType::f32);
  console.info(cat("classifier of ", record.config.classes, " classes, ",
                   network.parameters().elements(), " parameters; ", data.count,
                   " images to learn, ", sets.test.count, " to test on",
                   sets.test_spec.empty() ? ", every tenth put aside" : "", "; seed ", o.seed, "; ",
                   device_description(stream)));
  engine::Context context(stream);
  context.fusion = o.fusion;
  console.detail(computing_on(stream, context.fusion));
  train(context, network, data, o, console);
  const int right = right_answers(context, network, sets.test);
  record.accuracy = double(right) / sets.test.count;
  console.clear_bar();
  save_classifier(o.out, network, record);
  print(o, sets, record.accuracy, right);
  return 0;
}

}  // namespace

Command classifier_command() {
  return {
      .name = "classifier",
      .summary = "train a classifier of a data set, to judge samples with",
      .examples = R"(  haze classifier --data mnist:data/mnist --out mnist-classifier.safetensors
  haze classifier --data images:photos --epochs 10 --out photos.safetensors
)",
      .about =
          R"(Says how many test images it gets right. haze eval measures in its features, and asks it which
class a sample shows.)",
      .action = {add_flags, run}};
}

}  // namespace haze::apps
