// options.h — the command line as plain structs. CLI11 is known to flags.h and those who include
// it.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "apps/config/config.h"

namespace haze::apps {

enum class Color : std::uint8_t { automatic, always, never };

/// What every subcommand takes.
struct CommonOptions {
  bool quiet = false, verbose = false, progress = true;
  Color color = Color::automatic;
  std::string log_file;
  std::string device = "cpu";
  int threads = 0;              // 0: as many as the machine has
  std::set<std::string> given;  // flags on the command line, as "--steps"; not the environment's

  /// InputError if one of the flags was given: "--strength: given with inpaint; it belongs to
  /// vary". For flags that would say nothing.
  void refuse(std::initializer_list<const char*> flags, const std::string& with,
              const std::string& allowed) const;
};

struct TrainOptions {
  std::string config, out;
  Settings settings;  // flags, --set and the environment, over the file
  bool resume = false, overwrite = false, dry_run = false, print_config = false, skip_bad = false;
  bool fusion = true;
};

struct SampleOptions {
  std::string checkpoint, out = "grid.png", noise, save_tensors, animation, sampler = "ddpm";
  bool ema = true, ema_asked = false, fusion = true, metadata = true;
  std::string spacing = "linspace", label;  // label: a number, "each", "none" or "" (none)
  int n = 64, steps = 0, batch = 64;
  std::vector<int> all_steps;  // more than one only to compare
  double eta = 0, guidance = 1, rescale = 0;
  std::uint64_t seed = 0;
  std::optional<Precision> precision;  // none: as trained
};

struct PointsOptions : SampleOptions {
  PointsOptions() { n = 10000, batch = 1000, out = "points.png"; }
  std::string panels;
  bool json = false;
};

struct VerifyOptions {
  std::string config, weights, fixture, expect, output;
  Precision precision = Precision::f32;
  bool json = false, fusion = true;
};

struct ExportOptions {
  std::string checkpoint, out;
  bool ema = true, ema_asked = false;
};

struct DataOptions {
  std::string spec, out, label;
  std::vector<int> size;  // height, width; empty: as the data is
  int channels = 0;       // 0: as the data is
  bool json = false, skip_bad = false;
};

struct InfoOptions {
  std::string config, picture;
  Settings settings;
  bool json = false, keys = false, schema = false;
};

struct BenchOptions {
  std::string what, config, out;
  std::string before, after;  // of compare: files
  double fail_on = -1;        // percent; below 0: never
  Settings settings;
  int steps = 20, warmup = 4;
  bool json = false, fusion = true;
  // kernels
  std::vector<std::string> kernels;  // names or their beginnings; empty: all
  std::vector<std::string> shapes;   // "n=64,h=16,c=128,co=128"
  std::string explain;               // a kernel to trace instead of timing it
  bool list = false;
};

struct ClassifierOptions {
  std::string data, test, out;
  std::vector<int> size;  // height, width; empty: as the data is
  int epochs = 3, batch = 128;
  double learning_rate = 1e-3;
  std::uint64_t seed = 0;
  bool json = false, fusion = true;
};

enum class Metric : std::uint8_t { frechet, kid, swd, class_accuracy, nll };

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

struct EditOptions {
  EditOptions() { sample.n = 8, sample.sampler = "", sample.out = "edit.png"; }
  SampleOptions sample;             // sampler "": ddim to reconstruct, else ddpm
  std::string mode;                 // "vary", "inpaint", "interpolate", "reconstruct"
  std::vector<std::string> images;  // files, or DATASET@NUMBER
  std::string mask;
  double strength = 0.5;
  int jump = 10, repeats = 5;
};

enum class Command : std::uint8_t {
  none,
  train,
  sample,
  verify,
  export_weights,
  data,
  info,
  bench,
  classifier,
  eval,
  points,
  edit
};

struct Options {
  Command command = Command::none;
  CommonOptions common;
  TrainOptions train;
  SampleOptions sample;
  VerifyOptions verify;
  ExportOptions export_weights;
  DataOptions data;
  InfoOptions info;
  BenchOptions bench;
  ClassifierOptions classifier;
  EvalOptions eval;
  PointsOptions points;
  EditOptions edit;
  std::string text;  // with Command::none: what to print (help, version) before leaving with 0
};

/// Reads the command line and the environment (HAZE_DEVICE, HAZE_DATA). Throws InputError naming
/// flag, value and what is allowed, with the nearest known flag or subcommand for a misspelt one.
Options parse_options(const std::vector<std::string>& arguments);

}  // namespace haze::apps
