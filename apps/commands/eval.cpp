// SPDX-License-Identifier: MIT
// eval.cpp — `haze eval`: how good the samples of a checkpoint are, held against a data set.
#include <algorithm>
#include <cstdio>
#include <optional>

#include "apps/command.h"
#include "apps/data/input_file.h"
#include "apps/device.h"
#include "apps/eval_report.h"
#include "apps/flag_groups.h"
#include "apps/image_sets.h"
#include "apps/memory.h"
#include "apps/memory_needs.h"
#include "apps/sampling.h"
#include "apps/standard_output.h"
#include "apps/trained_model.h"
#include "kernels/base/sizes.h"

namespace haze::apps {
namespace {

enum class Metric : std::uint8_t { frechet, kid, swd, class_accuracy, nll };

}  // namespace

template <>
inline constexpr auto kWords<Metric> = words_for<Metric>("frechet", "kid", "swd", "class-accuracy",
                                                         "nll");

namespace {

struct EvalOptions {
  EvalOptions() { sample.n = 1000; }
  SampleOptions sample;     // what is drawn from the checkpoint
  std::string samples;      // images that are there already: a file, a folder or a data set
  std::string data, label;  // what they are held against
  int data_n = 0;           // its first images; 0: all
  std::vector<Metric> metrics = {Metric::frechet, Metric::kid, Metric::swd};
  std::string features = "pixels";
  std::string classifier;  // for class_accuracy; "": that of the features
  int subsets = 100, subset_size = 0, directions = 512;
  int nll_times = 0;  // 0: every t
  bool json = false;
};

std::vector<Metric> metrics_of(const std::string& list) {
  std::vector<Metric> metrics;
  for (const std::string_view name : split(list, ',')) {
    const auto metric = value_of<Metric>(name);
    if (!metric) refuse_word("--metrics", std::string(name), words_of<Metric>(), "some of ");
    metrics.push_back(*metric);
  }
  return metrics;
}

void add_flags(Flags& flags, EvalOptions& e) {
  sampler_flags(flags, e.sample, "ddpm");
  flags.group("What to sample");
  flags.input("--samples", e.samples, "FILE|DIR|SPEC",
              "not a checkpoint: saved tensors, a folder, a data set");
  flags.group("What to hold it against");
  flags.input("--data", e.data, "SPEC", "data set, e.g. mnist:DIR#test", "HAZE_DATA");
  flags.text("--label", e.label, "NAME", "this class of the data only [all]");
  flags.number("--data-n", e.data_n, 2, 1 << 30, "its first N images [all]");
  flags.group("What to measure");
  flags.value("--metrics", "LIST", joined(kWords<Metric>, ", ") + " [frechet,kid,swd]",
              [&e](const std::string& s) { e.metrics = metrics_of(s); });
  flags.input("--features", e.features, "pixels|classifier:FILE|inception:FILE",
              "what distances are taken in [pixels]");
  flags.input("--classifier", e.classifier, "FILE",
              "of haze classifier, for class-accuracy [that of --features]");
  flags.number("--subsets", e.subsets, 1, 100000, "random subsets of kid [100]");
  flags.number("--subset-size", e.subset_size, 2, 1 << 20,
               "images in each [a tenth of the smaller set, at most 1000]");
  flags.number("--directions", e.directions, 1, 1 << 20, "random directions of swd [512]");
  flags.number("--nll-times", e.nll_times, 2, 100000,
               "of the chain's times, compute so many, estimate the rest [all]");
  flags.group("Result");
  flags.boolean("--json", e.json, "one JSON document on standard output");
  compute_flags(flags, e.sample.fusion);
  flags.number("--batch", e.sample.batch, 1, 65536,
               "images per network call; changes no image [64]");
  flags.choice("--precision", e.sample.precision, "of activations; tf32: on cuda [as trained]");
}

bool wants(const EvalOptions& o, Metric metric) {
  return std::ranges::find(o.metrics, metric) != o.metrics.end();
}
bool wants_distance(const EvalOptions& o) {
  return wants(o, Metric::frechet) || wants(o, Metric::kid) || wants(o, Metric::swd);
}

bool wants_data(const EvalOptions& o) { return wants_distance(o) || wants(o, Metric::nll); }

Dataset draw(const EvalOptions& o, TrainedModel& trained, Console& console) {
  const RunConfig& config = trained.config();
  const model::SamplingOptions sampler =
      sampler_options(o.sample, config, trained.classes(), console);
  const int h = config.data.image_size[0], w = config.data.image_size[1],
            c = config.model.image_channels;
  console.detail(sampling_needs(config, o.sample.n, sampler, trained.computing()));
  const auto values = model::sample(trained.context, *trained.network, config.diffusion, o.sample.n,
                                    h, w, c, sampler);
  console.clear_bar();
  Dataset set =
      as_images("samples", values, o.sample.n, h, w, c, config.data.range == DataRange::zero_one);
  set.spec = cat(trained.name(), "; ", name_of(sampler.kind), " ", sampler.steps, " steps, seed ",
                 o.sample.seed);
  if (!sampler.labels.empty())
    set.spec +=
        cat(class_note(sampler.labels, trained.classes()), ", guidance ", o.sample.guidance);
  set.labels = sampler.labels;
  set.class_names = trained.classes();
  return set;
}

/// The labels of the samples as the classifier counts its classes. One from before the names were
/// kept counted a folder's bytewise.
std::vector<std::int32_t> labels_for(const ClassifierRecord& classifier, const Dataset& samples) {
  std::vector<std::int32_t> labels = samples.labels;
  ClassNames theirs = classifier.classes;
  if (theirs.empty() && classifier.data.starts_with("images:")) {
    theirs = samples.class_names;
    std::ranges::sort(theirs);
  }
  if (!theirs.empty() && !samples.class_names.empty())
    renumber(labels, samples.class_names, theirs,
             "--metrics: class-accuracy; the samples' network");
  return labels;
}

void check_labels(const FeatureSource& judge, const Dataset& samples) {
  if (samples.labels.empty())
    throw InputError(
        "--metrics: class-accuracy; the samples have no classes to hold the classifier's against: "
        "ask a class-conditional checkpoint for one with --class, or give samples with labels");
  const int classes = judge.classifier().config.classes;
  const auto labels = labels_for(judge.classifier(), samples);
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] < 0 || labels[i] >= classes)
      throw InputError(cat("--metrics: class-accuracy; sample ", i, " is of class ", labels[i],
                           ", the classifier knows 0 to ", classes - 1));
}

ClassAccuracy class_accuracy(const FeatureSource& judge, const Dataset& samples, Console& console) {
  const int classes = judge.classifier().config.classes;
  ClassAccuracy a{std::vector<int>(std::size_t(classes)), std::vector<int>(std::size_t(classes))};
  const auto labels = labels_for(judge.classifier(), samples);
  const auto seen = judge.classes_of(samples, console);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const std::int32_t label = labels[i];
    ++a.asked[std::size_t(label)];
    a.right[std::size_t(label)] += seen[i] == label;
  }
  return a;
}

/// Of the samples, what is known before they are drawn.
Dataset outline(const EvalOptions& o, const TrainedModel& trained, Console& console) {
  const RunConfig& config = trained.config();
  Dataset set;
  set.count = o.sample.n, set.channels = config.model.image_channels;
  set.height = config.data.image_size[0], set.width = config.data.image_size[1];
  set.labels = sampler_options(o.sample, config, trained.classes(), console).labels;
  set.class_names = trained.classes();
  return set;
}

/// Refuses sets that cannot be measured. `samples` need not be drawn yet.
void check_sets(const EvalOptions& o, const FeatureSource& source, const FeatureSource& judge,
                const Dataset& samples, const Dataset& data) {
  const int smaller = std::min(samples.count, data.count);
  for (const auto& [set, what] : {std::pair{&samples, "samples"}, {&data, "data"}}) {
    if (!wants_distance(o)) continue;
    if (set->count < 2) throw InputError(cat(what, ": ", set->count, " images; at least 2"));
    source.check_takes(*set, what);
  }
  if (wants(o, Metric::kid) && o.subset_size > smaller)
    throw InputError(
        cat("--subset-size: KID subsets of ", o.subset_size, " images; 2 to ", smaller));
  if (!wants(o, Metric::class_accuracy)) return;
  judge.check_takes(samples, "samples");
  check_labels(judge, samples);
}

void measure_distances(const EvalOptions& o, const FeatureSource& source, const Dataset& samples,
                       const Dataset& data, Console& console, EvalReport& result) {
  const model::Features a = source.of(samples, "samples", console),
                        b = source.of(data, "data", console);
  result.features = source.description();
  if (wants(o, Metric::frechet)) {
    const auto d = std::uint64_t(a.dimensions);  // two covariances, and what their root is made of
    const auto matrices = product_within({6, sizeof(double), d, d}, SIZE_MAX).value_or(SIZE_MAX);
    require_memory(cat("--metrics: frechet of ", d, " features"), matrices,
                   "fewer features: --features classifier:FILE or inception:FILE");
    console.progress(0, cat("frechet distance of ", a.dimensions, " features"));
    result.frechet = model::frechet_distance(model::moments(a), model::moments(b));
  }
  if (wants(o, Metric::kid))
    result.kid = model::kernel_distance(
        a, b, {o.subsets, o.subset_size, o.sample.seed, [&](int done, int total) {
                 console.progress(double(done) / total,
                                  cat("kernel distance, subset ", done, " of ", total));
               }});
  if (wants(o, Metric::swd)) {
    console.progress(0, cat("sliced wasserstein distance, ", o.directions, " directions"));
    result.directions = o.directions;
    result.swd = model::sliced_wasserstein(
        a, b, model::random_directions(o.directions, a.dimensions, o.sample.seed));
  }
}

/// The labels of the data as the network counts its classes; none for a network without.
std::vector<std::int32_t> labels_for(const TrainedModel& trained, const Dataset& data) {
  const int classes = trained.config().model.num_classes;
  if (classes == 0 || data.labels.empty()) return {};
  std::vector<std::int32_t> labels = data.labels;
  const ClassNames known = trained.classes();
  if (!known.empty())
    renumber(labels, data.class_names, known, cat("--data: ", printable(data.spec)));
  else if (int(data.class_names.size()) > classes)
    throw InputError(cat("--data: ", data.spec, " has ", data.class_names.size(),
                         " classes, the network knows ", classes));
  return labels;
}

void check_likelihood(const TrainedModel& trained, const Dataset& data) {
  if (data.is_points())
    throw InputError("--metrics: nll; it is of images of bytes, and points are numbers");
  labels_for(trained, data);
}

LikelihoodReport likelihood(const EvalOptions& o, TrainedModel& trained, const Dataset& data,
                            Console& console) {
  const RunConfig& config = trained.config();
  model::BoundOptions bound;
  bound.zero_to_one = config.data.range == DataRange::zero_one;
  bound.times = o.nll_times, bound.seed = o.sample.seed, bound.batch = o.sample.batch;
  bound.labels = labels_for(trained, data);
  bound.progress = [&, watch = Stopwatch()](int done, int total) {
    console.progress(double(done) / total,
                     cat("nll call ", done, " of ", total, " left ", watch.left(done, total)));
  };
  return {model::bits_per_dim(trained.context, *trained.network, config.diffusion, data.images,
                              data.count, data.height, data.width, data.channels, bound),
          config.diffusion.steps};
}

/// Refuses flags that the others leave without effect.
void refuse_unused(const EvalOptions& o, const CommonOptions& common) {
  const bool accuracy = wants(o, Metric::class_accuracy);
  if (!o.samples.empty())
    common.refuse({"--weights", "--sampler", "--steps", "--eta", "--spacing", "--class",
                   "--guidance", "--guidance-rescale", "--precision", "--batch"},
                  "--samples", "those images are there already");
  if (!wants_distance(o) && !accuracy)
    common.refuse({"--n", "--sampler", "--steps", "--eta", "--spacing", "--class", "--guidance",
                   "--guidance-rescale"},
                  "--metrics nll", "it draws no samples");
  if (!wants_data(o))
    common.refuse({"--data", "--label", "--data-n"}, "--metrics class-accuracy",
                  "it looks at samples alone");
  if (!wants(o, Metric::kid))
    common.refuse({"--subsets", "--subset-size"}, "other --metrics", "they belong to kid");
  if (!wants(o, Metric::swd))
    common.refuse({"--directions"}, "other --metrics", "they belong to swd");
  if (!wants_distance(o) && !(accuracy && o.classifier.empty()))
    common.refuse({"--features"}, "other --metrics", "distances are taken in them");
}

/// Refuses options that do not fit together, before anything is computed.
void check(const EvalOptions& o, const CommonOptions& common) {
  const bool samples_wanted = wants_distance(o) || wants(o, Metric::class_accuracy);
  const bool data_wanted = wants_data(o);
  if (o.sample.checkpoint.empty() == o.samples.empty())
    throw InputError(o.samples.empty()
                         ? "--checkpoint: not given; a run folder or a checkpoint file, or images "
                           "that are there already with --samples"
                         : "--samples: given with --checkpoint; one of the two");
  if (o.data.empty() && data_wanted)
    throw InputError("--data: not given; the data set to hold the samples against, mnist:DIR#test");
  if (wants(o, Metric::nll) && o.sample.checkpoint.empty())
    throw InputError("--metrics: nll; it is a number of a network: give --checkpoint");
  if (!wants(o, Metric::class_accuracy) && !o.classifier.empty())
    throw InputError("--classifier: given without --metrics class-accuracy");
  if (wants(o, Metric::class_accuracy) && o.classifier.empty() &&
      !o.features.starts_with("classifier:"))
    throw InputError(
        "--metrics: class-accuracy; it needs --classifier FILE, made by haze classifier");
  if (!wants(o, Metric::nll) && o.nll_times > 0)
    throw InputError("--nll-times: given without --metrics nll");
  if (!samples_wanted && !o.samples.empty())
    throw InputError("--samples: given, but no metric looks at samples");
  refuse_unused(o, common);
}

int run(const EvalOptions& o, const Program& program) {
  check(o, program.common);
  Console& console = program.console;
  const Stream stream = open_device(program.common);
  const FeatureSource source(o.features, stream, o.sample.fusion);
  std::optional<FeatureSource> other_judge;
  if (!o.classifier.empty())
    other_judge.emplace("classifier:" + o.classifier, stream, o.sample.fusion);
  std::optional<TrainedModel> trained;
  if (!o.sample.checkpoint.empty()) trained.emplace(o.sample, stream, console);
  console.detail(computing_on(stream, trained ? trained->context.fusion : o.sample.fusion));

  EvalReport result;
  const bool look = wants_distance(o) || wants(o, Metric::class_accuracy);
  Dataset samples, data;
  if (look && trained) {
    samples = outline(o, *trained, console);
  } else if (look) {
    samples = open_samples(o.samples);
    keep_first(samples, o.sample.n);
  }
  if (wants_data(o)) {
    DatasetOptions as{.label = o.label};
    if (trained) as.order.bytewise = trained->classes().empty();
    const RunConfig* config = trained ? &trained->config() : nullptr;
    as.height = config ? config->data.image_size[0] : samples.height;
    as.width = config ? config->data.image_size[1] : samples.width;
    if (config) as.channels = config->model.image_channels;
    if (look && !samples.grey_as_colour) as.channels = samples.channels;
    data = open_dataset(o.data, as);
    if (samples.grey_as_colour && data.channels == 1) make_grey(samples);
    if (o.data_n > 0) keep_first(data, o.data_n);
    result.data = data.spec, result.data_n = data.count;
  }
  // All that may be refused, before the first image is drawn.
  if (look) check_sets(o, source, other_judge ? *other_judge : source, samples, data);
  if (wants(o, Metric::nll)) check_likelihood(*trained, data);
  if (look && trained) {
    console.info(cat("drawing ", o.sample.n, " images from ", trained->name()));
    samples = draw(o, *trained, console);
  }
  if (look) result.samples = samples.spec, result.samples_n = samples.count;
  if (wants_distance(o)) measure_distances(o, source, samples, data, console, result);
  if (wants(o, Metric::class_accuracy))
    result.accuracy = class_accuracy(other_judge ? *other_judge : source, samples, console);
  if (wants(o, Metric::nll)) result.nll = likelihood(o, *trained, data, console);
  console.clear_bar();
  print(o.json ? as_json(result) : as_text(result));
  return 0;
}

}  // namespace

Command eval_command() {
  return {
      .name = "eval",
      .summary = "measure how good samples are",
      .examples = R"(  haze eval --checkpoint runs/mnist --data mnist:data/mnist#test --n 1000 \
      --sampler ddim --steps 50 --features classifier:mnist-classifier.safetensors
  haze eval --checkpoint runs/mnist --data mnist:data/mnist#test --data-n 64 --metrics nll
  haze eval --samples mnist:data/mnist --n 5000 --data mnist:data/mnist#test
)",
      .about =
          R"(Draws images and holds them against a data set: Fréchet distance, kernel distance (KID) and
sliced Wasserstein distance of their features; how often a classifier sees the class asked for;
and the negative log-likelihood of the data in bits per dimension.
docs/eval.md says what each number is. Nothing of the run is touched.)",
      .action = {add_flags, run}};
}

}  // namespace haze::apps
