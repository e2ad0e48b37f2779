// eval_options.cpp — the flags of `haze classifier` and `haze eval`.
#include "apps/eval_options.h"

#include "apps/flags.h"

namespace haze::apps {

void classifier_flags(Flags flags, Options& o) {
  ClassifierOptions& c = o.classifier;
  flags.group("What to learn");
  flags.text("--data", c.data, "SPEC", "data set with classes, e.g. mnist:DIR, images:DIR")
      ->envname("HAZE_DATA");
  flags.text("--test", c.test, "SPEC",
             "images for the accuracy [SPEC#test where there is one, else every tenth]");
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

}  // namespace haze::apps
