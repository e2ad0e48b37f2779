// SPDX-License-Identifier: MIT
// data.cpp — `haze data`: what is in a data set.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "apps/command.h"
#include "apps/data/input_file.h"
#include "apps/data/points.h"
#include "apps/flag_groups.h"
#include "apps/image/grid.h"
#include "apps/image/png.h"
#include "apps/json_writer.h"
#include "apps/point_pictures.h"
#include "apps/sample_grid.h"
#include "apps/standard_output.h"

namespace haze::apps {
namespace {

struct DataOptions {
  std::string spec, out, label;
  std::vector<int> size;  // height, width; empty: as the data is
  int channels = 0;       // 0: as the data is
  bool json = false, skip_bad = false;
};

void add_flags(Flags& flags, DataOptions& d) {
  flags.group("What to look at");
  flags.input("SPEC", d.spec, "", "mnist:DIR, cifar10:DIR, images:DIR, synthetic:digits, ...",
              "HAZE_DATA");
  flags.text("--label", d.label, "NAME", "this class only [all]");
  flags.value("--size", "HxW", "resize to height x width pixels [as the data is]",
              [&d](const std::string& s) { d.size = size_of(s); });
  flags.number("--channels", d.channels, 1, 3, "1 grey, 3 colour [as the data is]");
  flags.boolean("--skip-bad", d.skip_bad, "leave out images that cannot be read");
  flags.group("Result");
  flags.output("--out", d.out, OutputKind::picture, "FILE|-",
               "PNG of the first 64 images, or of all points [none]");
  flags.boolean("--json", d.json, "one JSON document on standard output");
}

struct Values {
  double least = 255, largest = 0;
  double mean = 0, deviation = 0;  // of bytes scaled to [0, 1]; of points as they are
};

Values values_of_points(const Dataset& d) {
  Values v{INFINITY, -INFINITY, 0, 0};
  const double n = double(d.values.size());
  for (const float x : d.values) {
    v.least = std::min(v.least, double(x)), v.largest = std::max(v.largest, double(x));
    v.mean += x / n;
  }
  for (const float x : d.values) v.deviation += std::pow(x - v.mean, 2) / n;
  v.deviation = std::sqrt(v.deviation);
  return v;
}

Values values_of(const Dataset& d) {
  if (d.is_points()) return values_of_points(d);
  std::vector<double> count(256);
  for (const std::uint8_t byte : d.images) ++count[byte];
  Values v;
  const double n = double(d.images.size());
  for (int i = 0; i < 256; ++i)
    if (count[std::size_t(i)] > 0) {
      v.least = std::min(v.least, double(i)), v.largest = std::max(v.largest, double(i));
      v.mean += count[std::size_t(i)] / n * i / 255;
    }
  for (int i = 0; i < 256; ++i)
    v.deviation += count[std::size_t(i)] / n * std::pow(i / 255.0 - v.mean, 2);
  v.deviation = std::sqrt(v.deviation);
  return v;
}

std::vector<int> class_counts(const Dataset& d) {
  std::vector<int> counts(d.class_names.size());
  for (const std::int32_t label : d.labels) ++counts.at(std::size_t(label));
  return counts;
}

CurveFit fit_of(const Dataset& d) { return fit_curve(*point_set_of(d.spec), d.values); }

std::string as_json(const Dataset& d, const Values& v) {
  JsonWriter w;
  w.begin_object().field("spec", d.spec).field("count", d.count).field("height", d.height);
  w.field("width", d.width).field("channels", d.channels).key("classes").begin_array();
  const auto counts = class_counts(d);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    w.begin_object().field("number", i).field("name", d.class_names[i]);
    w.field("count", counts[i]).end_object();
  }
  w.end_array().key("values").begin_object().field("min", v.least).field("max", v.largest);
  w.field("mean", v.mean).field("std", v.deviation).end_object();
  if (d.is_points()) {
    const CurveFit fit = fit_of(d);
    w.field("mean_distance", fit.mean_distance).key("shares").begin_array();
    for (const double share : fit.shares) w.value(share);
    w.end_array();
  }
  return w.field("fingerprint", d.fingerprint).field("skipped", d.skipped).end_object().text() +
         "\n";
}

std::string as_text(const Dataset& d, const Values& v) {
  char values[120];
  std::snprintf(values, sizeof values,
                d.is_points() ? "%.4f to %.4f; mean %.4f, standard deviation %.4f"
                              : "%.0f to %.0f; scaled to [0,1]: mean %.4f, standard deviation %.4f",
                v.least, v.largest, v.mean, v.deviation);
  std::string text = cat("data set     ", printable(d.spec),
                         d.is_points() ? "\npoints       " : "\nimages       ", d.count, "\n");
  if (d.is_points())
    text += to_text(fit_of(d));
  else
    text += cat("size         ", d.height, "x", d.width, " (height x width)\nchannels     ",
                d.channels, "\n");
  text += cat("values       ", values, "\nclasses      ");
  const auto counts = class_counts(d);
  if (counts.empty())
    text += "none";
  else
    text += std::to_string(counts.size());
  constexpr std::size_t kMost = 20;
  for (std::size_t i = 0; i < std::min(kMost, counts.size()); ++i)
    text += cat(i == 0 ? ": " : ", ", class_text(int(i), d.class_names), " ", counts[i]);
  if (counts.size() > kMost) text += ", ...";
  text += cat("\nfingerprint  ", d.fingerprint, "\n");
  if (d.skipped > 0) text += cat("left out     ", d.skipped, " images that cannot be read\n");
  return text;
}

/// The first 64 images; of points all, with the curve that they scatter about.
Image picture_of(const Dataset& data) {
  if (data.is_points()) return points_picture(*point_set_of(data.spec), data.values);
  const int n = std::min(64, data.count);
  const std::size_t bytes = std::size_t(n) * std::size_t(data.height) * std::size_t(data.width) *
                            std::size_t(data.channels);
  return make_grid({data.images.data(), bytes}, n, data.height, data.width, data.channels);
}

int run(const DataOptions& options, const Program& program) {
  if (options.spec.empty())
    throw InputError(
        "SPEC: not given; mnist:DIR, cifar10:DIR, images:DIR, synthetic:digits or points:moons");
  if (options.json && options.out == "-")
    throw InputError("--json: given with --out -; standard output takes one of the two");
  DatasetOptions open;
  if (!options.size.empty()) open.height = options.size[0], open.width = options.size[1];
  if (options.channels > 0) open.channels = options.channels;
  open.skip_bad = options.skip_bad;
  open.label = options.label;
  const Dataset data = open_dataset(options.spec, open);
  for (const std::string& note : data.notes) program.console.info(note);
  if (!options.out.empty()) {
    write_output(options.out, encode_png(picture_of(data)));
    if (options.out == "-") return 0;  // standard output is the picture's
  }
  const Values values = values_of(data);
  print(options.json ? as_json(data, values) : as_text(data, values));
  if (!options.json && !options.out.empty()) print_line(options.out);
  return 0;
}

}  // namespace

Command data_command() {
  return {
      .name = "data",
      .summary = "look at a data set",
      .examples = R"(  haze data synthetic:digits --out digits.png
  haze data images:photos --size 64x64 --channels 3 --out grid.png
)",
      .about =
          R"(Says how many images a data set has, their size, channels, classes and values, and draws a grid.)",
      .action = {add_flags, run}};
}

}  // namespace haze::apps
