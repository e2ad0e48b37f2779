// eval_options.cpp — the flags of `haze classifier` and `haze eval`.
#include "apps/flags.h"

namespace haze::apps {

void classifier_flags(Flags flags, Options& o) {
  ClassifierOptions& c = o.classifier;
  flags.group("What to learn");
  flags.text("--data", c.data, "SPEC", "data set with classes, e.g. mnist:DIR, images:DIR")
      ->envname("HAZE_DATA");
  flags.value("--size", "HxW", "resize to height x width, the network's [as the data]",
              [&c](const std::string& s) { c.size = size_of(s); });
  flags.text("--test", c.test, "SPEC", "images for the accuracy [SPEC#test, or every tenth image]");
  flags.number("--epochs", c.epochs, 1, 10000, "passes through the data [3]");
  flags.number("--batch", c.batch, 1, 65536, "images per step [128]");
  flags.number("--learning-rate", c.learning_rate, 0, 1, "of Adam, at the start [0.001]");
  flags.value("--seed", "N|random", "[0]", [&c](const std::string& s) { c.seed = seed_of(s); });
  flags.group("Result");
  flags.text("--out", c.out, "FILE", "safetensors file to write");
  flags.yes("--json", c.json, "one JSON document on standard output");
  compute_flags(flags, o.common, c.fusion);
  common_flags(flags, o.common);
}

namespace {

const std::vector<std::pair<std::string, Metric>> kMetrics = {
    {"frechet", Metric::frechet}, {"kid", Metric::kid},
    {"swd", Metric::swd},         {"class-accuracy", Metric::class_accuracy},
    {"nll", Metric::nll},
};

void metrics_of(const std::string& list, std::vector<Metric>& to) {
  to.clear();
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    const std::string name = list.substr(at, end - at);
    Strings known;
    for (const auto& [word, metric] : kMetrics) {
      known.push_back(word);
      if (word == name) to.push_back(metric);
    }
    if (std::ranges::find(known, name) == known.end()) {
      std::string all;
      for (const auto& word : known) all += (all.empty() ? "" : ", ") + word;
      const std::string guess = nearest(name, known);
      throw InputError(cat("--metrics: ", name, "; some of ", all,
                           guess.empty() ? "" : "; did you mean " + guess + "?"));
    }
    at = end + 1;
  }
}

}  // namespace

void eval_flags(Flags flags, Options& o) {
  EvalOptions& e = o.eval;
  sampler_flags(flags, e.sample, "ddpm");
  flags.group("What to sample");
  flags.text("--samples", e.samples, "FILE|DIR|SPEC",
             "not a checkpoint: saved tensors, a folder, a data set");
  flags.group("What to hold it against");
  flags.text("--data", e.data, "SPEC", "data set, e.g. mnist:DIR#test")->envname("HAZE_DATA");
  flags.text("--label", e.label, "NAME", "this class of the data only [all]");
  flags.number("--data-n", e.data_n, 2, 1 << 30, "its first N images [all]");
  flags.group("What to measure");
  flags.value("--metrics", "LIST", "frechet, kid, swd, class-accuracy, nll [frechet,kid,swd]",
              [&e](const std::string& s) { metrics_of(s, e.metrics); });
  flags.text("--features", e.features, "pixels|classifier:FILE|inception:FILE",
             "what distances are taken in [pixels]");
  flags.text("--classifier", e.classifier, "FILE",
             "of haze classifier, for class-accuracy [that of --features]");
  flags.number("--subsets", e.subsets, 1, 100000, "random subsets of kid [100]");
  flags.number("--subset-size", e.subset_size, 2, 1 << 20,
               "images in each [a tenth of the smaller set, at most 1000]");
  flags.number("--directions", e.directions, 1, 1 << 20, "random directions of swd [512]");
  flags.number("--nll-times", e.nll_times, 2, 100000,
               "of the chain's times, compute so many, estimate the rest [all]");
  flags.group("Result");
  flags.yes("--json", e.json, "one JSON document on standard output");
  compute_flags(flags, o.common, e.sample.fusion);
  flags.number("--batch", e.sample.batch, 1, 65536,
               "images per network call; changes no image [64]");
  flags.precision(e.sample.precision, "of activations; tf32: on cuda [as trained]");
  common_flags(flags, o.common);
}

}  // namespace haze::apps
