// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>

#include "apps/data/find_below.h"
#include "apps/data/idx.h"
#include "apps/data/input_file.h"
#include "apps/data/loaders.h"
#include "engine/files/foreign.h"
#include "engine/files/new_file.h"
#include "kernels/base/check.h"
#include "kernels/base/sizes.h"

namespace haze::apps {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{2} << 30;
constexpr std::uint64_t kHeaderRoom = 64;
constexpr std::uint32_t kMostSide = 16384, kMostImages = 10'000'000;

/// A file of the data set under its original name, spelt with a dash or a dot, plain or with .gz.
/// The file that is found below the folder is named in `notes`.
std::string find_file(const std::string& folder, const std::string& split, const std::string& what,
                      std::vector<std::string>& notes) {
  const std::string dashed = split + '-' + what, dotted = dashed.substr(0, dashed.rfind("-idx")) +
                                                          '.' + dashed.substr(dashed.rfind("idx"));
  const auto path = find_below(folder, {dashed, dashed + ".gz", dotted, dotted + ".gz"});
  if (!path)
    throw InputError(cat(printable(folder + '/' + dashed),
                         ": not found; mnist:DIR needs the IDX files under their original names, "
                         "plain or .gz, in DIR or a folder below"));
  if (engine::directory_of(*path) != folder) notes.push_back("found: " + printable(*path));
  return *path;
}

}  // namespace

Idx read_idx(const std::string& path, int rank) {
  HAZE_CHECK(rank >= 1 && rank <= 4, "rank ", rank);
  ByteSource source(path, kMostBytes + kHeaderRoom);
  std::array<std::uint8_t, 4> magic;
  source.read(magic);
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != 8 || magic[3] != rank)
    throw InputError(cat(source.name(), ": starts with bytes ", int(magic[0]), ' ', int(magic[1]),
                         ' ', int(magic[2]), ' ', int(magic[3]),
                         "; an IDX file of unsigned bytes in ", rank,
                         rank == 1 ? " dimension" : " dimensions", " starts with 0 0 8 ", rank,
                         engine::foreign_hint(source.first())));
  Idx idx;
  std::uint64_t bytes = 1;
  for (int d = 0; d < rank; ++d) {
    std::array<std::uint8_t, 4> b;
    source.read(b);
    idx.dims.push_back(std::uint32_t{b[0]} << 24 | b[1] << 16 | b[2] << 8 | b[3]);
    const auto product = product_within({bytes, idx.dims.back()}, kMostBytes);
    if (!product || *product == 0)
      throw InputError(cat(source.name(), ": dimension ", d, " is ", idx.dims.back(),
                           "; 1 to 2 GiB of content are allowed"));
    bytes = *product;
  }
  if (bytes > source.most_left())
    throw InputError(cat(source.name(), ": its header promises ", bytes,
                         " bytes; a file of this size holds at most ", source.most_left()));
  idx.data.resize(bytes);
  source.read(idx.data);
  source.expect_end();
  return idx;
}

Dataset load_mnist(const std::string& folder, bool test) {
  const std::string split = test ? "t10k" : "train";
  Dataset set;
  const std::string image_file = find_file(folder, split, "images-idx3-ubyte", set.notes);
  const std::string label_file = find_file(folder, split, "labels-idx1-ubyte", set.notes);
  Idx images = read_idx(image_file, 3);
  const Idx labels = read_idx(label_file, 1);
  if (labels.dims[0] != images.dims[0])
    throw InputError(cat(printable(label_file), ": ", labels.dims[0], " labels; ", images.dims[0],
                         " are needed, one for each image"));
  if (images.dims[0] > kMostImages || images.dims[1] > kMostSide || images.dims[2] > kMostSide)
    throw InputError(cat(printable(image_file), ": ", images.dims[0], " images of ", images.dims[1],
                         "x", images.dims[2], "; at most ", kMostImages, " with sides up to ",
                         kMostSide, " are allowed"));
  const auto worst = std::max_element(labels.data.begin(), labels.data.end());
  if (*worst > 9)
    throw InputError(cat(printable(label_file), ": label ", int(*worst), " at index ",
                         worst - labels.data.begin(), "; 0 to 9 are allowed"));
  set.count = int(images.dims[0]);
  set.height = int(images.dims[1]);
  set.width = int(images.dims[2]);
  set.channels = 1;
  set.images = std::move(images.data);
  set.labels.assign(labels.data.begin(), labels.data.end());
  for (char digit = '0'; digit <= '9'; ++digit) set.class_names.emplace_back(1, digit);
  return set;
}

}  // namespace haze::apps
