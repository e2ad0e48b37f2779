// SPDX-License-Identifier: MIT
// safetensors.h — the file format of weights, records and checkpoints.
//
// A file is: u64 length N, N bytes of JSON (name -> dtype, shape, data_offsets), the data.
// https://huggingface.co/docs/safetensors. Files are foreign input: the header is held against
// every rule below before any data is read, a file that breaks one is refused whole, and the
// InputError says which file, which tensor, which rule and where. Nothing is mapped; nothing is
// allocated by what a file promises, only by what it holds.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files/file_system.h"
#include "kernels/base/check.h"

namespace haze::engine {

struct SafetensorsLimits {
  static constexpr std::uint64_t header_bytes = 16u << 20;
  static constexpr std::uint64_t metadata_bytes = 1u << 20;  // keys and values together
  static constexpr std::size_t tensors = 65536;
  static constexpr std::size_t rank = 8;
  static constexpr std::uint64_t extent = (std::uint64_t(1) << 40) - 1;
  static constexpr std::size_t name_bytes = 256;  // of [A-Za-z0-9_.-]
};

struct SafetensorsEntry {
  std::string name;
  std::string_view dtype;  // "F32", "BF16", "I64", ...
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;  // bytes, from the start of the data
  std::uint64_t bytes() const { return end - begin; }
  std::size_t elements() const;
  std::string shape_text() const;  // "[2,3]"
};

using SafetensorsMetadata = std::map<std::string, std::string>;

struct SafetensorsHeader {
  SafetensorsMetadata metadata;
  std::vector<SafetensorsEntry> tensors;  // in the order of their data
  const SafetensorsEntry* find(std::string_view name) const;
};

/// Parses the JSON of a header whose data has `data_bytes` bytes. `file` only serves the messages.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes,
                                           const std::string& file);

/// An open file: its header is read and found right; data is read tensor by tensor.
class SafetensorsReader {
 public:
  /// InputError if the file is not there, not regular, or breaks a
  /// rule. Pickles, zip archives (.pt, .ckpt, .npz) are refused with
  /// the way to convert them. `follow_links` false refuses a symlink.
  SafetensorsReader(FileSystem& fs, std::string path, bool follow_links = true);
  ~SafetensorsReader();
  SafetensorsReader(const SafetensorsReader&) = delete;
  SafetensorsReader& operator=(const SafetensorsReader&) = delete;

  const std::string& path() const { return path_; }
  const SafetensorsHeader& header() const { return header_; }
  const std::string& header_json() const { return json_; }
  const SafetensorsMetadata& metadata() const { return header_.metadata; }
  const std::vector<SafetensorsEntry>& tensors() const { return header_.tensors; }
  /// InputError that names the nearest thing to help if there is no such tensor.
  const SafetensorsEntry& at(std::string_view name) const;
  bool has(std::string_view name) const { return header_.find(name) != nullptr; }

  /// The bytes as they lie in the file: [entry.bytes()].
  void read(const SafetensorsEntry& entry, void* to) const;
  /// F32, F16, BF16 or F64 as f32. InputError for other types and, unless allowed, for a value that
  /// is not finite (in f32).
  std::vector<float> read_f32(const SafetensorsEntry& entry, bool allow_nonfinite = false) const;
  /// Any integer type or BOOL as i32. InputError if a value does not fit.
  std::vector<std::int32_t> read_i32(const SafetensorsEntry& entry) const;

 private:
  FileSystem& fs_;
  std::string path_, json_;
  std::uint64_t data_start_ = 0;
  int fd_ = -1;
  SafetensorsHeader header_;
};

/// A tensor to write: contiguous host memory, row-major.
struct SafetensorsTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  const void* data = nullptr;
  std::string_view dtype = "F32";
  std::uint64_t bytes() const;
};

/// What lies before the data: length field and JSON, padded with spaces to a multiple of 8. Tensors
/// lie in the order given, without holes. A CheckError where a reader would refuse the file.
std::string make_safetensors_header(std::span<const SafetensorsTensor> tensors,
                                    const SafetensorsMetadata& metadata);

/// Writes a file as write_output does (output.h). Tensors are ordered by element size (largest first), then
/// name, as the format's own library does, so equal content gives equal bytes.
void write_safetensors(FileSystem& fs, const std::string& path,
                       std::vector<SafetensorsTensor> tensors,
                       const SafetensorsMetadata& metadata = {{"format", "pt"}});

/// The bytes of that file, for where there is none to write: a pipe.
std::vector<std::uint8_t> safetensors_bytes(std::vector<SafetensorsTensor> tensors,
                                            const SafetensorsMetadata& metadata = {
                                                {"format", "pt"}});

/// Bits of one element of a dtype of the format; 0 if there is no such dtype.
int safetensors_bits(std::string_view dtype);

}  // namespace haze::engine
