// SPDX-License-Identifier: MIT
// Target: the content of gzip files, in pieces of any size. Input: a byte for the size of the
// pieces, then the file.
#include <algorithm>

#include "apps/data/input_file.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/gunzip.h"

namespace haze::fuzz {
namespace {

/// All of `size` bytes, and the end behind them. `there`: so many will come.
Bytes read_all(const std::string& path, std::size_t size, std::size_t piece, std::size_t there) {
  apps::ByteSource source(path, 1 << 20);
  Bytes bytes(size);
  for (std::size_t at = 0; at < size; at += piece) {
    promise(at >= there || source.most_left() >= there - at, "most_left() is ", source.most_left(),
            " with ", there - at, " bytes to come");
    source.read(std::span(bytes).subspan(at, std::min(piece, size - at)));
  }
  source.expect_end();
  return bytes;
}

void one_input(Input input) {
  if (input.size() < 1) return;
  const std::size_t piece = 1 + 37 * std::size_t{input[0]};
  const Input file = input.subspan(1);
  const Folder folder;
  const std::string path = folder.write("file", file);
  Gunzipped want;
  if (is_packed(file))
    want = gunzip(file);
  else
    want = {false, Bytes(file.begin(), file.end()), file.size()};
  if (want.too_long) return;
  const std::size_t size = want.length;
  const auto got = accepted([&] { return read_all(path, size, piece, want.content ? size : 0); });
  promise(bool(got) == bool(want.content), "accepted ", bool(got), ", should be ",
          bool(want.content));
  if (!got) return;
  promise(*got == *want.content, "other content");
  promise(!accepted([&] { return read_all(path, size + 1, piece, size); }),
          "more content than there is");
  if (size > 0)
    promise(!accepted([&] { return read_all(path, size - 1, piece, size); }), "content left over");
}

const Target kTarget("gz", one_input);

}  // namespace
}  // namespace haze::fuzz
