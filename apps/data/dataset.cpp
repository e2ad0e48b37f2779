#include "apps/data/dataset.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <new>
#include <stdexcept>

#include "apps/data/input_file.h"
#include "apps/data/loaders.h"
#include "apps/image/image.h"
#include "apps/image/resize.h"
#include "engine/files/xxh3.h"
#include "kernels/common/check.h"

namespace haze::apps {
namespace {

constexpr const char* kKinds =
    "synthetic:digits, synthetic:shapes, mnist:DIR, cifar10:DIR and images:DIR are known";
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

Dataset draw(const std::string& spec, std::string what) {
  int count = kDrawn;
  if (const auto colon = what.find(':'); colon != what.npos) {
    const char *begin = what.data() + colon + 1, *end = what.data() + what.size();
    const auto [stop, error] = std::from_chars(begin, end, count);
    if (error != std::errc{} || stop != end || count < 1 || count > kMostDrawn)
      refuse(spec, cat("the number of images is a whole number from 1 to ", kMostDrawn));
    what.resize(colon);
  }
  if (what == "digits") return draw_digits(count);
  if (what == "shapes") return draw_shapes(count);
  refuse(spec, "synthetic:digits[:N] and synthetic:shapes[:N] can be drawn");
}

Dataset load(const std::string& spec, const DatasetOptions& options) {
  const auto colon = spec.find(':');
  if (colon == spec.npos) {
    std::error_code ignored;
    if (std::filesystem::is_directory(spec, ignored))
      refuse(spec,
             cat("a kind goes before the folder, such as images:", printable(spec), "; ", kKinds));
    refuse(spec, kKinds);
  }
  const std::string kind = spec.substr(0, colon);
  std::string rest = spec.substr(colon + 1);
  if (kind == "synthetic") return draw(spec, rest);
  if (kind == "points") refuse(spec, cat("2-D points are not images; ", kKinds));
  const bool known = kind == "mnist" || kind == "cifar10" || kind == "images";
  if (!known) refuse(spec, kKinds);
  const bool test = kind != "images" && take_split(rest);
  if (std::error_code ignored; !std::filesystem::is_directory(rest, ignored))
    refuse(spec, rest.empty() ? "a folder goes behind the colon" : "the folder does not exist");
  if (kind == "mnist") return load_mnist(rest, test);
  if (kind == "cifar10") return load_cifar10(rest, test);
  return load_image_folder(rest, options);
}

void resize(Dataset& set, int height, int width) {
  const std::size_t from = std::size_t(set.height) * set.width * set.channels;
  const std::size_t to = std::size_t(height) * width * set.channels;
  std::vector<std::uint8_t> resized(to * set.count);
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
  head += engine::xxh3_128(set.images.data(), set.images.size());
  return engine::xxh3_128(head.data(), head.size());
}

}  // namespace

Dataset open_dataset(const std::string& spec, const DatasetOptions& options) {
  for (const auto& side : {options.height, options.width})
    if (side && (*side < 1 || *side > kMostSide))
      throw InputError(cat("image size: ", *side, "; 1 to ", kMostSide, " are allowed"));
  if (options.channels && *options.channels != 1 && *options.channels != 3)
    throw InputError(
        cat("image channels: ", *options.channels, "; 1 (grey) and 3 (RGB) are allowed"));
  DatasetOptions asked = options;
  if (!asked.height) asked.height = asked.width;
  if (!asked.width) asked.width = asked.height;

  try {
    Dataset set = load(spec, asked);
    if (asked.channels && *asked.channels != set.channels)
      throw InputError(cat("data set: ", printable(spec), " has ", set.channels, " channel",
                           set.channels == 1 ? "" : "s", "; the configuration asks for ",
                           *asked.channels));
    if (asked.height && (*asked.height != set.height || *asked.width != set.width))
      resize(set, *asked.height, *asked.width);
    set.spec = spec;
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

}  // namespace haze::apps
