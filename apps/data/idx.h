// SPDX-License-Identifier: MIT
// idx.h — the IDX files of MNIST and its relatives (yann.lecun.com/exdb/mnist): bytes 0, 0, type,
// rank, then rank big-endian u32 sizes, then the elements. Type 8, unsigned bytes, is read.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace haze::apps {

struct Idx {
  std::vector<std::uint32_t> dims;
  std::vector<std::uint8_t> data;  // the product of dims
};

/// Reads an IDX file of exactly `rank` dimensions, 1 to 4, inflating it if it is packed by gzip.
/// Refuses another magic, a size 0, content above 2 GiB, and content shorter or longer than stated.
Idx read_idx(const std::string& path, int rank);

}  // namespace haze::apps
