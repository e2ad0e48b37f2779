// SPDX-License-Identifier: MIT
// image_folder.cpp — a folder of pictures: listed in an order that does not depend on the file
// system, decoded in parallel, bad files reported in that order.
#include <algorithm>
#include <filesystem>
#include <map>

#include "apps/data/image_list.h"
#include "apps/data/input_file.h"
#include "apps/data/loaders.h"
#include "apps/image/jpeg.h"
#include "apps/image/resize.h"
#include "kernels/base/check.h"

namespace haze::apps {
namespace {

constexpr int kChunk = 256;         // files between two looks at what went wrong
constexpr int kMostListed = 10;     // left-out files named in the notes
constexpr int kBrightEnough = 128;  // of 255: data of 12 bits stored in 16 ends at 16, of 14 at 64

struct Size {
  int height, width;
};

/// The first folder of the path, or nothing for a file that lies beside the folders.
std::string class_of(const std::string& path) {
  const auto slash = path.find('/');
  return slash == path.npos ? std::string() : path.substr(0, slash);
}

/// What is worth a word when it is so of all files.
struct Looks {
  bool grey = true;
  int of_16_bits = 0, brightest = 0;  // files; the largest byte in them
  void add(const Looks& other) {
    grey &= other.grey;
    of_16_bits += other.of_16_bits;
    brightest = std::max(brightest, other.brightest);
  }
};
Looks looks_of(const Image& image) {
  Looks l{image.is_grey(), image.sixteen_bits, 0};
  if (image.sixteen_bits) l.brightest = *std::ranges::max_element(image.pixels);
  return l;
}

/// One file at its final size. `asked`: none for the stored size.
Image load_image(const ImageList& list, const std::string& path, const std::optional<Size>& asked,
                 int channels, Looks& looks) {
  const std::string file = resolve_below(list.root, path), name = printable(list.root + '/' + path);
  Image image = decode_image(read_file(file, kMostFileBytes, false), name);
  looks = looks_of(image);
  image = with_channels(std::move(image), channels);
  if (!asked) return image;
  if (image.height < asked->height || image.width < asked->width)
    throw InputError(cat(name, ": ", image.height, "x", image.width,
                         " pixels (height x width); at least ", asked->height, "x", asked->width,
                         " are needed, images are not enlarged; --skip-bad leaves such files out"));
  Image resized{asked->height, asked->width, channels, {}};
  resized.pixels.resize(std::size_t(asked->height) * asked->width * channels);
  resize_and_crop(image.pixels.data(), image.height, image.width, channels, resized.pixels.data(),
                  asked->height, asked->width);
  return resized;
}

/// The folders in the order in which they are counted, as their names are shown, each with its
/// number. Of two that are shown alike, each is a class.
ClassNames number_folders(std::map<std::string, int>& folders, const ClassOrder& order) {
  ClassNames names = order.known;
  std::vector<bool> taken(names.size());
  std::vector<std::string> sorted;
  for (const auto& [folder, number] : folders) sorted.push_back(folder);
  if (!order.bytewise) std::ranges::sort(sorted, natural_less);
  for (const std::string& folder : sorted) {
    const std::string name = printable(folder);
    std::size_t at = 0;
    while (at < names.size() && (taken[at] || names[at] != name)) ++at;
    if (at == names.size()) names.push_back(name), taken.push_back(false);
    taken[at] = true;
    folders[folder] = int(at);
  }
  return names;
}

/// Labels from the folders of the files that were kept; none if files lie outside of folders.
void set_classes(const std::vector<std::string>& kept, const ClassOrder& order, Dataset& set) {
  std::map<std::string, int> classes;
  std::size_t outside = 0;
  for (const std::string& path : kept) {
    const std::string name = class_of(path);
    if (name.empty()) ++outside;
    classes.emplace(name, 0);
  }
  if (outside > 0) {
    if (outside < kept.size())
      set.notes.push_back(cat(outside, " images lie outside of sub-folders: no classes"));
    return;
  }
  set.class_names = number_folders(classes, order);
  for (const std::string& path : kept) set.labels.push_back(classes.at(class_of(path)));
}

void note(const Looks& looks, Dataset& set) {
  set.grey_as_colour = looks.grey && set.channels == 3;
  if (set.grey_as_colour)
    set.notes.push_back(
        "all images are grey: one channel would do (model.image_channels 1, haze data --channels "
        "1)");
  if (looks.of_16_bits > 0 && looks.brightest < kBrightEnough)
    set.notes.push_back(cat(looks.of_16_bits, " images of 16 bits use the values 0 to ",
                            257 * looks.brightest, " of 65535: ", looks.brightest + 1,
                            " of 256 shades are left of them; stretch them to the whole range"));
}

}  // namespace

Dataset load_image_folder(const std::string& folder, const DatasetOptions& options) {
  const ImageList list = list_images(folder);
  Dataset set;
  set.channels = options.channels.value_or(3);
  std::optional<Size> asked;
  if (options.height) asked = {*options.height, *options.width};
  if (list.others > 0)
    set.notes.push_back(
        cat(list.others, " files are not named .png, .jpg or .jpeg and were left out"));

  Looks all;
  std::vector<std::string> kept;
  for (std::size_t begin = 0; begin < list.paths.size(); begin += kChunk) {
    const int n = int(std::min<std::size_t>(kChunk, list.paths.size() - begin));
    std::vector<Image> images(n);
    std::vector<std::string> errors(n);
    std::vector<Looks> looks(n);
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < n; ++i) {
      try {
        images[i] = load_image(list, list.paths[begin + i], asked, set.channels, looks[i]);
      } catch (const InputError& e) {  // none may leave a parallel region
        errors[i] = e.what();
      } catch (const std::exception& e) {
        errors[i] = cat(printable(list.root + '/' + list.paths[begin + i]), ": ", e.what());
      }
    }
    for (int i = 0; i < n; ++i) {
      const std::string& path = list.paths[begin + i];
      const Image& image = images[i];
      if (errors[i].empty() && set.count > 0 &&
          (image.height != set.height || image.width != set.width))
        errors[i] = cat(printable(list.root + '/' + path), ": ", image.height, "x", image.width,
                        " pixels (height x width), the images before have ", set.height, "x",
                        set.width, "; ask for a size to have all made equal");
      if (errors[i].empty()) {
        if (set.count++ == 0) {
          set.height = image.height;
          set.width = image.width;
          set.images.reserve(image.pixels.size() * list.paths.size());
        }
        set.images.insert(set.images.end(), image.pixels.begin(), image.pixels.end());
        all.add(looks[i]);
        kept.push_back(path);
        continue;
      }
      if (!options.skip_bad) throw InputError(errors[i]);
      if (++set.skipped > options.max_skipped)
        throw InputError(cat(errors[i], "; ", options.max_skipped,
                             " bad files were already left out, no more are allowed"));
      if (set.skipped <= kMostListed) set.notes.push_back("left out: " + errors[i]);
    }
  }
  if (set.count == 0)
    throw InputError(cat(printable(list.root), ": all ", set.skipped,
                         " images are bad; at least one is needed"));
  if (set.skipped > kMostListed)
    set.notes.push_back(cat("left out: ", set.skipped - kMostListed, " more"));
  set_classes(kept, options.order, set);
  note(all, set);
  return set;
}

}  // namespace haze::apps
