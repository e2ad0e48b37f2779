// SPDX-License-Identifier: MIT
// Target: a folder of MNIST. Input: two packed files, images and labels; one whose name ends in
// z is called .gz.
#include <algorithm>

#include "apps/data/dataset.h"
#include "tests/fuzz/dataset_rules.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/idx_rules.h"

namespace haze::fuzz {
namespace {

void one_input(Input input) {
  const auto files = unpack(input, 2);
  if (files.size() < 2) return;
  const Folder folder;
  const char* names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"};
  for (int i = 0; i < 2; ++i)
    folder.write(std::string(names[i]) + (files[i].name.ends_with('z') ? ".gz" : ""),
                 files[i].bytes);
  const auto set = accepted([&] { return apps::open_dataset("mnist:" + folder.path()); });

  const auto images = expected_idx(files[0].bytes, 3), labels = expected_idx(files[1].bytes, 1);
  if (!images.judged || !labels.judged) return;
  const bool right = images.idx && labels.idx && images.idx->dims[0] == labels.idx->dims[0] &&
                     images.idx->dims[1] <= 16384 && images.idx->dims[2] <= 16384 &&
                     std::ranges::all_of(labels.idx->data, [](int l) { return l < 10; });
  promise(bool(set) == right, "accepted ", bool(set), ", should be ", right);
  if (!set) return;
  hold_to_promises(*set);
  promise(set->images == images.idx->data, "other pixels");
  promise(std::ranges::equal(set->labels, labels.idx->data), "other labels");
  promise(std::size_t(set->height) == images.idx->dims[1] &&
              std::size_t(set->width) == images.idx->dims[2] && set->channels == 1,
          "another size");
}

const Target kTarget("mnist", one_input);

}  // namespace
}  // namespace haze::fuzz
