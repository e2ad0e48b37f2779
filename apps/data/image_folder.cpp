// SPDX-License-Identifier: MIT
// image_folder.cpp — a folder of pictures: listed in an order that does not depend on the file
// system, decoded in parallel, bad files reported in that order.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <new>

#include "apps/data/image_list.h"
#include "apps/data/input_file.h"
#include "apps/data/loaders.h"
#include "apps/image/jpeg.h"
#include "apps/image/resize.h"
#include "apps/memory.h"
#include "kernels/base/check.h"
#include "kernels/base/sizes.h"

namespace haze::apps {
namespace {

constexpr int kChunk = 256;         // files between two looks at what went wrong
constexpr int kMostListed = 10;     // left-out files named in the notes
constexpr int kBrightEnough = 128;  // of 255: data of 12 bits stored in 16 ends at 16, of 14 at 64
// What a chunk's pictures may take before they are copied to their place, and what those may take
// that are being decoded at their stored size. A larger picture goes alone.
constexpr std::uint64_t kChunkBytes = std::uint64_t{256} << 20, kDecoding = std::uint64_t{1} << 30;

/// What a file has to be: at least so large, or exactly.
struct Wanted {
  int height, width;
  bool exact;
};

/// Lets pictures be decoded side by side as long as they take kDecoding bytes together.
class Gate {
 public:
  /// One picture's place, from enter() to its end.
  class Place {
   public:
    explicit Place(Gate& gate) : gate_(gate) {}
    ~Place() {
      const std::lock_guard lock(gate_.mutex_);
      gate_.used_ -= bytes_;
      gate_.changed_.notify_all();
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    void enter(std::uint64_t bytes) {
      std::unique_lock lock(gate_.mutex_);
      gate_.changed_.wait(lock,
                          [&] { return gate_.used_ == 0 || gate_.used_ + bytes <= kDecoding; });
      gate_.used_ += bytes_ = bytes;
    }

   private:
    Gate& gate_;
    std::uint64_t bytes_ = 0;
  };

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t used_ = 0;
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

/// InputError unless a picture of that size is wanted.
void check_size(const std::string& name, int height, int width, const Wanted& wanted) {
  if (wanted.exact && (height != wanted.height || width != wanted.width))
    throw InputError(cat(name, ": ", height, "x", width,
                         " pixels (height x width), the images before have ", wanted.height, "x",
                         wanted.width, "; ask for a size to have all made equal"));
  if (height < wanted.height || width < wanted.width)
    throw InputError(cat(name, ": ", height, "x", width, " pixels (height x width); at least ",
                         wanted.height, "x", wanted.width,
                         " are needed, images are not enlarged; --skip-bad leaves such files out"));
}

/// One file at its final size. What is not wanted is refused by its header, before it is decoded.
Image load_image(const ImageList& list, const std::string& path,
                 const std::optional<Wanted>& wanted, int channels, Gate& gate, Looks& looks) {
  const std::string file = resolve_below(list.root, path), name = printable(list.root + '/' + path);
  Gate::Place place(gate);
  const auto check = [&](int height, int width) {
    if (wanted) check_size(name, height, width, *wanted);
    const std::uint64_t pixel = 4 + std::uint64_t(channels);  // decoded, then converted
    place.enter(std::uint64_t(height) * std::uint64_t(width) * pixel);
  };
  Image image = decode_image(read_file(file, kMostFileBytes, false), name, check);
  looks = looks_of(image);
  image = with_channels(std::move(image), channels);
  if (!wanted || wanted->exact) return image;
  Image resized{wanted->height, wanted->width, channels, {}};
  resized.pixels.resize(std::size_t(wanted->height) * wanted->width * channels);
  resize_and_crop(image.pixels.data(), image.height, image.width, channels, resized.pixels.data(),
                  wanted->height, wanted->width);
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

/// Bytes of one image of the set.
std::uint64_t image_bytes(const Wanted& size, int channels) {
  return std::uint64_t(size.height) * std::uint64_t(size.width) * std::uint64_t(channels);
}

/// How many files are decoded in parallel before their pixels are copied to their place.
int chunk_of(const std::optional<Wanted>& wanted, int channels, std::size_t left) {
  if (!wanted) return 1;  // the first good file says what size all have
  const std::uint64_t fit = kChunkBytes / image_bytes(*wanted, channels);
  return int(std::min<std::uint64_t>(std::clamp<std::uint64_t>(fit, 1, kChunk), left));
}

/// Memory for all images of the set, which is known as soon as their size is.
void reserve(Dataset& set, const Wanted& size, std::size_t files, const std::string& root) {
  const auto all = product_within({image_bytes(size, set.channels), files}, SIZE_MAX / 2);
  require_memory(cat(printable(root), ": ", files, " images of ", size.height, "x", size.width, "x",
                     set.channels),
                 all.value_or(SIZE_MAX), "ask for smaller images (--size, data.image_size)");
  set.height = size.height;
  set.width = size.width;
  set.images.reserve(*all);
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
  std::optional<Wanted> wanted;
  if (options.height) wanted = {*options.height, *options.width, false};
  if (list.others > 0)
    set.notes.push_back(
        cat(list.others, " files are not named .png, .jpg or .jpeg and were left out"));

  Looks all;
  if (wanted) reserve(set, *wanted, list.paths.size(), list.root);

  Gate gate;
  std::vector<std::string> kept;
  for (std::size_t begin = 0, n = 0; begin < list.paths.size(); begin += n) {
    n = std::size_t(chunk_of(wanted, set.channels, list.paths.size() - begin));
    std::vector<Image> images(n);
    std::vector<std::string> errors(n);
    std::vector<Looks> looks(n);
    std::atomic<bool> full = false;  // no fault of a file, so none is left out for it
#pragma omp parallel for schedule(dynamic)
    for (std::size_t i = 0; i < n; ++i) {
      try {
        images[i] = load_image(list, list.paths[begin + i], wanted, set.channels, gate, looks[i]);
      } catch (const InputError& e) {  // none may leave a parallel region
        errors[i] = e.what();
      } catch (const std::bad_alloc&) {
        full = true;
      } catch (const std::exception& e) {
        errors[i] = cat(printable(list.root + '/' + list.paths[begin + i]), ": ", e.what());
      }
    }
    if (full) throw std::bad_alloc();
    for (std::size_t i = 0; i < n; ++i) {
      const std::string& path = list.paths[begin + i];
      const Image& image = images[i];
      if (errors[i].empty()) {
        if (!wanted) {
          wanted = {image.height, image.width, true};
          reserve(set, *wanted, list.paths.size(), list.root);
        }
        ++set.count;
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
