// SPDX-License-Identifier: MIT
#include "apps/image_sets.h"

#include <cmath>

#include "apps/image/grid.h"
#include "apps/paths.h"
#include "engine/files/safetensors.h"
#include "kernels/base/sizes.h"
#include "model/weights.h"

namespace haze::apps {
namespace {

Dataset read_samples(const std::string& path) {
  const engine::SafetensorsReader file(engine::disk(), path);
  const auto& entry = file.at("samples");
  if (entry.shape.size() != 4 || entry.elements() == 0)
    throw InputError(cat(path, ": samples: ", entry.shape_text(), "; [n,C,H,W]"));
  const auto extent = [&](std::size_t i) {
    return checked_int(path + ": samples: an extent", {std::uint64_t(entry.shape[i])});
  };
  const int n = extent(0), c = extent(1), h = extent(2), w = extent(3);
  const auto range = file.metadata().find("range");
  const std::string text = range == file.metadata().end() ? "-1,1" : range->second;
  if (text != "-1,1" && text != "0,1")
    throw InputError(cat(path, ": metadata range: ", text, "; \"-1,1\" or \"0,1\""));
  Dataset set = as_images(path, model::nchw_to_nhwc(file.read_f32(entry, true), n, c, h, w), n, h,
                          w, c, text == "0,1");
  if (file.has("labels")) {
    set.labels = file.read_i32(file.at("labels"));
    if (set.labels.size() != std::size_t(n))
      throw InputError(cat(path, ": labels: ", set.labels.size(), " for ", n, " samples"));
  }
  return set;
}

}  // namespace

Dataset as_images(const std::string& what, const std::vector<float>& values, int n, int height,
                  int width, int channels, bool zero_to_one) {
  Dataset set;
  set.spec = what;
  set.count = n, set.height = height, set.width = width, set.channels = channels;
  const std::size_t image = values.size() / std::size_t(n);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw RunError(cat(what, ": image ", i / image, " has a value that is ", values[i],
                         "; nothing can be measured on it"));
  if (height == 1 && width == 1 && channels == 2)
    set.values = values;
  else
    set.images = to_bytes(values, zero_to_one ? Range::zero_to_one : Range::minus_one_to_one);
  return set;
}

Dataset open_samples(const std::string& where) {
  const PathKind kind = kind_of("--samples", where);
  if (kind == PathKind::folder) return open_dataset("images:" + where);
  if (kind != PathKind::none) return read_samples(where);
  if (where.find(':') == where.npos)
    throw InputError(cat("--samples: ", where,
                         "; no such file or folder: a safetensors file of haze sample "
                         "--save-tensors, a folder of images, or a data set"));
  return open_dataset(where);
}

void keep_first(Dataset& set, int n) {
  if (n >= set.count) return;
  const std::size_t image = std::size_t(set.height) * set.width * set.channels;
  set.count = n;
  if (!set.images.empty()) set.images.resize(std::size_t(n) * image);
  if (!set.values.empty()) set.values.resize(std::size_t(n) * image);
  if (!set.labels.empty()) set.labels.resize(std::size_t(n));
}

FeatureSource::FeatureSource(const std::string& spec, Stream stream, bool fusion)
    : spec_(spec), stream_(stream), fusion_(fusion) {
  if (spec == "pixels") return;
  const std::string kind = spec.substr(0, spec.find(':'));
  const std::string path = kind == spec ? "" : spec.substr(kind.size() + 1);
  if (path.empty() || (kind != "classifier" && kind != "inception"))
    throw InputError(cat("--features: ", spec, "; pixels, classifier:FILE or inception:FILE"));
  if (kind == "classifier") {
    classifier_ = load_classifier(path, stream);
    return;
  }
  const engine::SafetensorsReader file(engine::disk(), path);
  model::StateDict state;
  for (const auto& entry : file.tensors())
    if (entry.dtype.starts_with('F') || entry.dtype == "BF16")
      state[entry.name] = {entry.shape, file.read_f32(entry)};
  try {
    inception_ = std::make_unique<model::Inception>(state, stream);
  } catch (const InputError& e) {
    throw InputError(cat(path, ": ", e.what()));
  }
}

std::string FeatureSource::description() const {
  return is_classifier() ? cat(spec_, ", ", model::Classifier::kFeatures, " features, learned on ",
                               classifier_.record.data)
                         : spec_;
}

void FeatureSource::check_takes(const Dataset& set, const std::string& what) const {
  const model::ClassifierConfig& c = classifier_.record.config;
  if (is_classifier() && (set.is_points() || set.height != c.height || set.width != c.width ||
                          set.channels != c.channels))
    throw InputError(cat(spec_, ": it takes images of ", c.height, "x", c.width, "x", c.channels,
                         "; ", what, " are ", set.height, "x", set.width, "x", set.channels));
  if (inception_ && (set.is_points() || (set.channels != 1 && set.channels != 3)))
    throw InputError(cat(spec_, ": it takes grey and colour images; ", what, " have ", set.channels,
                         " channels"));
}

model::Judgement FeatureSource::judge(const Dataset& set, const std::string& what,
                                      Console& console) const {
  engine::Context context(stream_);
  context.fusion = fusion_;
  return model::judge(
      context, *classifier_.network, set.images, set.count, [&](int done, int total) {
        console.progress(double(done) / total, cat("features of ", what, " ", done, " of ", total));
      });
}

model::Features FeatureSource::of(const Dataset& set, const std::string& what,
                                  Console& console) const {
  model::Features f{what, set.count, 0, {}};
  if (is_classifier()) {
    f.dimensions = model::Classifier::kFeatures;
    f.values = judge(set, what, console).features;
    return f;
  }
  if (inception_) {
    engine::Context context(stream_);
    context.fusion = fusion_;
    f.dimensions = model::Inception::kFeatures;
    f.values = model::inception_features(context, *inception_, set.images, set.count, set.height,
                                         set.width, set.channels, [&](int done, int total) {
                                           console.progress(
                                               double(done) / total,
                                               cat("features of ", what, " ", done, " of ", total));
                                         });
    return f;
  }
  f.dimensions = checked_int(
      what + ": values of an image",
      {std::uint64_t(set.height), std::uint64_t(set.width), std::uint64_t(set.channels)});
  f.values = set.values;
  f.values.reserve(set.images.size() + set.values.size());
  for (const std::uint8_t byte : set.images) f.values.push_back(float(byte) / 127.5f - 1);
  return f;
}

std::vector<std::int32_t> FeatureSource::classes_of(const Dataset& set, Console& console) const {
  return judge(set, "samples", console).labels;
}

}  // namespace haze::apps
