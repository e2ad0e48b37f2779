// SPDX-License-Identifier: MIT
// xxh3.h — XXH3, 128 bits: the hash of a checkpoint's tensors.
//
// Finds damage, not malice. Equal to `xxh128sum` and Python's xxhash.xxh3_128 (seed 0), so anyone
// can check a tensor. Written here because it must give the same value in every build, and the
// library's headers are not on every machine. Algorithm: xxHash's doc/xxhash_spec.md, section XXH3.
#pragma once
#include <cstddef>
#include <string>

namespace haze::engine {

/// 32 hexadecimal digits, high half first: the canonical form.
std::string xxh3_128(const void* data, std::size_t bytes);

}  // namespace haze::engine
