// SPDX-License-Identifier: MIT
// files.h — where a target's input has to be a file: a folder of its own, emptied for each input,
// and several files packed into one input.
#pragma once
#include <string>
#include <vector>

#include "tests/fuzz/target.h"

namespace haze::fuzz {

/// A folder in memory where there is one (/dev/shm), else among the temporary ones. It goes with
/// the object.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  /// Writes a file, with the folders above it; returns its path, or "" if the file system refuses
  /// such a name (a file is in the way, or it is too long).
  std::string write(const std::string& name, Input bytes) const;

 private:
  std::string path_;
};

struct PackedFile {
  std::string name;  // relative, of parts that are neither empty nor dots, at most 20
  Bytes bytes;
};
/// The files in an input: again and again a byte with the length of a name, the name, four bytes
/// with the size (little-endian), the content. Lengths beyond the end are cut; at most `most` files.
std::vector<PackedFile> unpack(Input input, std::size_t most);

std::string text_of(Input input);

}  // namespace haze::fuzz
