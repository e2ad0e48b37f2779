// SPDX-License-Identifier: MIT
#include "apps/data/dataset.h"

#include <algorithm>
#include <new>
#include <stdexcept>

#include "apps/data/input_file.h"
#include "apps/data/loaders.h"
#include "apps/data/points.h"
#include "apps/image/image.h"
#include "apps/image/resize.h"
#include "apps/memory.h"
#include "apps/paths.h"
#include "engine/files/xxh3.h"
#include "kernels/base/check.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

constexpr const char* kKinds =
    "synthetic:digits, synthetic:shapes, points:s_curve, points:moons, points:swiss_roll, "
    "mnist:DIR, "
    "cifar10:DIR and images:DIR are known";
constexpr int kDrawn = 10000, kMostDrawn = 1000000;

[[noreturn]] void refuse(const std::string& spec, const std::string& allowed) {
  throw InputError(cat("data set: ", printable(spec), "; ", allowed));
}

/// Removes `#train` or `#test` from the end of a folder; true for the test split.
bool take_split(std::string& folder) {
  for (const std::string split : {"#test", "#train"})
    if (folder.ends_with(split)) {
      folder.resize(folder.size() - split.size());
      return split == "#test";
    }
  return false;
}

/// What is drawn by the program: `what` may end in :N.
Dataset draw(const std::string& spec, std::string what, bool points) {
  int count = kDrawn;
  if (const auto colon = what.find(':'); colon != what.npos) {
    const auto asked = parse_number<int>(std::string_view(what).substr(colon + 1), 1, kMostDrawn);
    if (!asked)
      refuse(spec, cat("the number of ", points ? "points" : "images",
                       " is a whole number from 1 to ", kMostDrawn));
    count = *asked;
    what.resize(colon);
  }
  if (points) {
    if (const auto set = value_of<PointSet>(what)) return draw_points(*set, count);
    refuse(spec, "points:s_curve[:N], points:moons[:N] and points:swiss_roll[:N] can be drawn");
  }
  if (what == "digits") return draw_digits(count);
  if (what == "shapes") return draw_shapes(count);
  refuse(spec, "synthetic:digits[:N] and synthetic:shapes[:N] can be drawn");
}

Dataset load(const std::string& spec, const DatasetOptions& options) {
  const auto colon = spec.find(':');
  if (colon == spec.npos) {
    if (kind_of("data set", spec) == PathKind::folder)
      refuse(spec,
             cat("a kind goes before the folder, such as images:", printable(spec), "; ", kKinds));
    refuse(spec, kKinds);
  }
  const std::string kind = spec.substr(0, colon);
  if (options.skip_bad && kind != "images")
    throw InputError(cat("data.skip_bad: true; only of images:DIR can files be left out, not of ",
                         printable(spec)));
  std::string rest = spec.substr(colon + 1);
  if (kind == "synthetic" || kind == "points") return draw(spec, rest, kind == "points");
  const bool known = kind == "mnist" || kind == "cifar10" || kind == "images";
  if (!known) refuse(spec, kKinds);
  const bool test = kind != "images" && take_split(rest);
  if (rest.empty()) refuse(spec, "a folder goes behind the colon");
  if (const std::string why = why_no_folder("data set", rest); !why.empty()) refuse(spec, why);
  if (kind == "mnist") return load_mnist(rest, test);
  if (kind == "cifar10") return load_cifar10(rest, test);
  return load_image_folder(rest, options);
}

/// Leaves out all but the images of one class.
void keep_label(Dataset& set, const std::string& label) {
  if (set.labels.empty())
    throw InputError(cat("data.label: ", printable(label), "; this data set has no classes"));
  const auto at = std::ranges::find(set.class_names, printable(label));
  if (at == set.class_names.end()) {
    std::string known;
    constexpr std::size_t kMost = 20;
    for (std::size_t i = 0; i < std::min(kMost, set.class_names.size()); ++i)
      known += cat(i == 0 ? "" : ", ", set.class_names[i]);
    if (set.class_names.size() > kMost) known += ", ...";
    throw InputError(cat("data.label: ", printable(label), "; one of the classes ", known));
  }
  const auto wanted = std::int32_t(at - set.class_names.begin());
  const std::size_t size = std::size_t(set.height) * set.width * set.channels;
  const auto keep = [&](auto& from, std::size_t to, std::size_t i) {
    if (!from.empty())
      std::copy_n(from.begin() + std::ptrdiff_t(i * size), size,
                  from.begin() + std::ptrdiff_t(to * size));
  };
  std::size_t kept = 0;
  for (std::size_t i = 0; i < set.labels.size(); ++i) {
    if (set.labels[i] != wanted) continue;
    keep(set.images, kept, i);
    keep(set.values, kept++, i);
  }
  if (kept == 0) throw InputError(cat("data.label: ", printable(label), "; it has no images"));
  set.count = int(kept);
  set.labels.assign(kept, wanted);
  set.images.resize(set.images.empty() ? 0 : kept * size);
  set.values.resize(set.values.empty() ? 0 : kept * size);
}

void resize(Dataset& set, int height, int width) {
  if (set.is_points())
    throw InputError(
        cat("data.image_size: [", height, ",", width, "]; points are images of 1x1; leave it out"));
  const std::size_t from = std::size_t(set.height) * set.width * set.channels;
  const std::size_t to = std::size_t(height) * width * set.channels;
  require_memory(cat(printable(set.spec), ": ", set.count, " images of ", height, "x", width, "x",
                     set.channels),
                 to * std::size_t(set.count), "ask for smaller images (--size, data.image_size)");
  std::vector<std::uint8_t> resized(to * std::size_t(set.count));
#pragma omp parallel for schedule(static)
  for (int i = 0; i < set.count; ++i)
    resize_and_crop(set.images.data() + from * i, set.height, set.width, set.channels,
                    resized.data() + to * i, height, width);
  set.images = std::move(resized);
  set.height = height;
  set.width = width;
}

/// Over sizes, classes, labels and images: all that training can see, none of where it lay.
std::string fingerprint(const Dataset& set) {
  std::string head =
      cat("haze data set ", set.count, ' ', set.height, ' ', set.width, ' ', set.channels);
  for (const std::string& name : set.class_names) head += '\0' + name;
  head += '\0';
  for (const std::int32_t label : set.labels)
    for (int byte = 0; byte < 4; ++byte) head += char(label >> (8 * byte));
  // Hashed as they lie in memory, which is little-endian wherever this runs.
  head += set.is_points() ? engine::xxh3_128(set.values.data(), set.values.size() * sizeof(float))
                          : engine::xxh3_128(set.images.data(), set.images.size());
  return engine::xxh3_128(head.data(), head.size());
}

}  // namespace

Dataset open_dataset(const std::string& spec, const DatasetOptions& options) {
  for (const auto& side : {options.height, options.width})
    if (side && (*side < 1 || *side > kMostSide))
      throw InputError(cat("image size: ", *side, "; 1 to ", kMostSide, " are allowed"));
  const bool points = spec.starts_with("points:");
  if (const auto c = options.channels; c && *c != 1 && *c != 3 && !points)
    throw InputError(cat("image channels: ", *c, "; 1 (grey) and 3 (RGB) are allowed"));
  DatasetOptions asked = options;
  if (!asked.height) asked.height = asked.width;
  if (!asked.width) asked.width = asked.height;

  try {
    Dataset set = load(spec, asked);
    if (asked.channels && *asked.channels != set.channels)
      throw InputError(cat("data set: ", printable(spec), " has ", set.channels, " channel",
                           set.channels == 1 ? "" : "s", "; asked for: ", *asked.channels));
    set.spec = spec;
    if (!asked.label.empty()) keep_label(set, asked.label);
    if (asked.height && (*asked.height != set.height || *asked.width != set.width))
      resize(set, *asked.height, *asked.width);
    set.fingerprint = fingerprint(set);
    return set;
  } catch (const std::bad_alloc&) {
    throw InputError(
        cat("data set: ", printable(spec), " does not fit into memory; ask for smaller images"));
  } catch (const std::length_error&) {
    throw InputError(
        cat("data set: ", printable(spec), " does not fit into memory; ask for smaller images"));
  }
}

void make_grey(Dataset& set) {
  HAZE_CHECK(set.grey_as_colour && set.channels == 3, set.spec, " has ", set.channels, " channels");
  for (std::size_t i = 0; i < set.images.size() / 3; ++i) set.images[i] = set.images[3 * i];
  set.images.resize(set.images.size() / 3);
  set.channels = 1;
  set.grey_as_colour = false;
  set.fingerprint = fingerprint(set);
}

}  // namespace haze::apps
