// SPDX-License-Identifier: MIT
// Target: a folder of pictures. Input: a byte of options, then packed files. Each picture of the
// set is held against the same file read by itself.
#include <algorithm>
#include <filesystem>
#include <map>

#include "apps/data/dataset.h"
#include "apps/image/jpeg.h"
#include "apps/image/resize.h"
#include "tests/fuzz/dataset_rules.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"

namespace haze::fuzz {
namespace {

constexpr int kSide = 4;

bool named_as_picture(const std::string& path) {
  std::string name = path.substr(path.rfind('/') + 1);
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = char(c + 32);
  return name.ends_with(".png") || name.ends_with(".jpg") || name.ends_with(".jpeg");
}
bool hidden(const std::string& path) {
  return path.starts_with('.') || path.find("/.") != path.npos;
}

/// The pixels that a file must have in the set; nothing if it cannot be one of it.
std::optional<Bytes> expected(const Bytes& file, bool resized, int channels) {
  try {
    apps::Image image = apps::decode_image(file, "file", [](int h, int w) {
      if (std::int64_t{h} * w > 1 << 20) throw InputError("too large for this test");
    });
    image = apps::with_channels(std::move(image), channels);
    if (!resized) return image.pixels;
    if (image.height < kSide || image.width < kSide) return {};
    Bytes pixels(std::size_t(kSide * kSide * channels));
    apps::resize_and_crop(image.pixels.data(), image.height, image.width, channels, pixels.data(),
                          kSide, kSide);
    return pixels;
  } catch (const InputError&) {
    return {};
  }
}

bool too_large(const Bytes& file) {
  bool large = false;
  try {
    apps::decode_image(file, "file", [&](int h, int w) {
      large = std::int64_t{h} * w > 1 << 20;
      throw InputError("the size was all");
    });
  } catch (const InputError&) {
  }
  return large;
}

void one_input(Input input) {
  if (input.empty()) return;
  const bool resized = input[0] & 1, skip_bad = input[0] & 2;
  const int channels = input[0] & 4 ? 1 : 3;
  const Folder folder;
  std::map<std::string, Bytes> files;  // sorted bytewise, as the set is
  bool deep = false;
  for (const PackedFile& f : unpack(input.subspan(1), 12)) {
    if (too_large(f.bytes)) return;
    deep |= std::ranges::count(f.name, '/') > 16;
    if (const std::string path = folder.write(f.name, f.bytes);
        !path.empty() && named_as_picture(f.name) && !hidden(f.name))
      files[f.name] = f.bytes;
  }
  apps::DatasetOptions options;
  if (resized) options.height = options.width = kSide;
  options.channels = channels;
  options.skip_bad = skip_bad;
  const auto set = accepted([&] { return apps::open_dataset("images:" + folder.path(), options); });

  Bytes pixels;
  std::vector<std::string> kept;
  for (const auto& [name, file] : files) {
    const auto want = expected(file, resized, channels);
    // Without a size asked for, all have the first one's: only that can be foretold here.
    if (want && (resized || kept.empty())) pixels.insert(pixels.end(), want->begin(), want->end());
    if (want) kept.push_back(name);
    promise(want || skip_bad || !set, name, " cannot be read; the folder was accepted");
  }
  if (resized && !deep && !kept.empty() && (skip_bad || kept.size() == files.size()))
    promise(bool(set), "a right folder was refused");
  if (!set) return;
  hold_to_promises(*set);
  promise(set->channels == channels, set->channels, " channels");
  promise(std::size_t(set->count) + std::size_t(set->skipped) == files.size(), set->count,
          " read, ", set->skipped, " left out, of ", files.size());
  promise(set->images.size() >= pixels.size() &&
              std::equal(pixels.begin(), pixels.end(), set->images.begin()),
          "other pixels than the files'");
  if (!resized) return;
  promise(pixels.size() == set->images.size() && set->height == kSide && set->width == kSide,
          "other pictures than the files'");
  std::map<std::string, std::int32_t> numbers;  // of the folders
  for (std::size_t i = 0; i < set->labels.size(); ++i) {
    const std::string of = kept[i].substr(0, kept[i].find('/'));
    const auto at = numbers.emplace(of, set->labels[i]).first;
    promise(at->second == set->labels[i], "two labels for one folder");
  }
  promise(set->labels.empty() || numbers.size() == set->class_names.size(),
          "classes without images");
}

const Target kTarget("image_folder", one_input);

}  // namespace
}  // namespace haze::fuzz
