// SPDX-License-Identifier: MIT
// Target: IDX files, plain and packed, read as labels and as images.
#include "apps/data/idx.h"

#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/idx_rules.h"

namespace haze::fuzz {
namespace {

void one_input(Input input) {
  const Folder folder;
  const std::string path = folder.write("file", input);
  for (const int rank : {1, 3}) {
    const auto idx = accepted([&] { return apps::read_idx(path, rank); });
    const auto want = expected_idx(input, std::size_t(rank));
    if (!want.judged) continue;
    promise(bool(idx) == bool(want.idx), "rank ", rank, ": accepted ", bool(idx), ", should be ",
            bool(want.idx));
    promise(!idx || (idx->dims == want.idx->dims && idx->data == want.idx->data),
            "other sizes or values");
  }
}

const Target kTarget("idx", one_input);

}  // namespace
}  // namespace haze::fuzz
