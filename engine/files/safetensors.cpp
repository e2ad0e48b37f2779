// SPDX-License-Identifier: MIT
// safetensors.cpp — opening, reading with conversion, writing.
#include "engine/files/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <utility>

#include "engine/files/foreign.h"
#include "engine/files/new_file.h"
#include "engine/files/output.h"
#include "kernels/base/dtype.h"

namespace haze::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little endian");

/// What a file that is no safetensors file looks like instead; empty if unknown.
std::string foreign_format(const unsigned char* first, std::size_t bytes) {
  const auto starts = [&](std::string_view magic) {
    return bytes >= magic.size() && std::memcmp(first, magic.data(), magic.size()) == 0;
  };
  constexpr const char* convert =
      "; such files can run code when they are loaded, so haze reads none: convert it with "
      "safetensors.torch.save_file (PyTorch) or safetensors.numpy.save_file";
  if (starts("PK\x03\x04")) return cat("a zip archive (.pt, .ckpt or .npz)", convert);
  if (bytes >= 2 && first[0] == 0x80 && first[1] >= 2 && first[1] <= 5)
    return cat("a Python pickle (.pt, .ckpt, .pkl or .bin)", convert);
  if (starts("\x93NUMPY"))
    return "a NumPy array (.npy); convert it with safetensors.numpy.save_file";
  if (starts("\x89HDF\r\n")) return "an HDF5 file; convert it to safetensors";
  if (starts("GGUF")) return "a GGUF file; convert it to safetensors";
  const std::string what = foreign_content({reinterpret_cast<const char*>(first), bytes});
  return what.starts_with("JSON")
             ? what + "; load the files that it names and save their tensors as one file"
             : what;
}

float from_half(std::uint16_t h) {
  const std::uint32_t sign = std::uint32_t(h & 0x8000u) << 16, exponent = (h >> 10) & 31u;
  const std::uint32_t mantissa = h & 1023u;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24, exact in f32
    const float magnitude = float(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 31 ? 0x7f800000u : (exponent + 112) << 23;
  return std::bit_cast<float>(sign | wide | mantissa << 13);
}

/// The first sizeof(From) bytes of raw per element, through f.
template <class From, class To, class Convert>
void convert(const std::vector<std::byte>& raw, std::vector<To>& to, Convert f) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    From v;
    std::memcpy(&v, raw.data() + i * sizeof v, sizeof v);
    to[i] = f(v);
  }
}

}  // namespace

SafetensorsReader::SafetensorsReader(FileSystem& fs, std::string path, bool follow_links)
    : fs_(fs), path_(std::move(path)) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer; it means nothing for regular files.
  const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | (follow_links ? 0 : O_NOFOLLOW);
  fd_ = uninterrupted([&] { return fs_.open(path_, flags); });
  if (fd_ < 0) throw InputError(failure("open", path_, fd_));
  try {
    FileStatus status;
    if (const int r = fs_.status(fd_, status); r < 0) throw InputError(failure("read", path_, r));
    if (!status.regular()) throw InputError(cat(path_, ": not a regular file"));
    unsigned char first[9] = {};
    SafetensorsEntry bytes{path_, "U8", {}, 0, std::min<std::uint64_t>(status.size, 9)};
    read(bytes, first);
    std::uint64_t length = 0;
    for (int i = 0; i < 8; ++i) length |= std::uint64_t(first[i]) << (8 * i);
    const auto fail = [&](const std::string& why) {
      const auto hint = foreign_format(first, std::size_t(bytes.end));
      throw InputError(cat(path_, ": not a safetensors file: ", hint.empty() ? why : hint));
    };
    if (status.size < 8) fail(cat("it has ", status.size, " bytes; the length field alone has 8"));
    if (length < 2) fail(cat("its header would have ", length, " bytes; at least 2 are needed"));
    if (length > SafetensorsLimits::header_bytes)
      fail(cat("its header would have ", length, " bytes; at most ",
               SafetensorsLimits::header_bytes, " are read"));
    if (length > status.size - 8)
      fail(cat("its header would have ", length, " bytes, the file has ", status.size - 8,
               " after the length field; it is cut short"));
    if (first[8] != '{') fail("its header does not start with '{'");
    json_.resize(std::size_t(length));
    data_start_ = 8;
    read({path_, "U8", {}, 0, length}, json_.data());
    data_start_ = 8 + length;
    header_ = parse_safetensors_header(json_, status.size - data_start_, path_);
  } catch (...) {
    fs_.close(fd_);
    throw;
  }
}

SafetensorsReader::~SafetensorsReader() { fs_.close(fd_); }

const SafetensorsEntry& SafetensorsReader::at(std::string_view name) const {
  if (const SafetensorsEntry* e = header_.find(name)) return *e;
  std::string some;
  for (std::size_t i = 0; i < header_.tensors.size() && i < 4; ++i)
    some += (i ? ", " : "") + header_.tensors[i].name;
  throw InputError(cat(path_, ": no tensor '", name, "'; it has ", header_.tensors.size(), ": ",
                       some, header_.tensors.size() > 4 ? ", ..." : ""));
}

void SafetensorsReader::read(const SafetensorsEntry& entry, void* to) const {
  char* p = static_cast<char*>(to);
  constexpr std::uint64_t block = 64u << 20;
  for (std::uint64_t at = entry.begin; at < entry.end;) {
    const auto done = uninterrupted([&] {
      return fs_.pread(fd_, p, std::size_t(std::min(entry.end - at, block)), data_start_ + at);
    });
    if (done < 0) throw InputError(failure("read", path_, done));
    if (done == 0)
      throw InputError(
          cat(path_, ": became shorter while it was read, at byte ", data_start_ + at));
    p += done;
    at += std::uint64_t(done);
  }
}

std::uint64_t SafetensorsTensor::bytes() const {
  std::uint64_t bits = std::uint64_t(safetensors_bits(dtype));
  for (const auto extent : shape) bits *= std::uint64_t(extent);
  return bits / 8;
}

std::vector<float> SafetensorsReader::read_f32(const SafetensorsEntry& entry,
                                               bool allow_nonfinite) const {
  const bool is_f32 = entry.dtype == "F32";
  if (!is_f32 && entry.dtype != "F16" && entry.dtype != "BF16" && entry.dtype != "F64")
    throw InputError(cat(path_, ": tensor '", entry.name, "' is ", entry.dtype,
                         "; F32, F16, BF16 or F64 is needed"));
  std::vector<float> values(entry.elements());
  if (is_f32) {
    read(entry, values.data());
  } else {
    std::vector<std::byte> raw(std::size_t(entry.bytes()));
    read(entry, raw.data());
    if (entry.dtype == "F16") convert<std::uint16_t>(raw, values, from_half);
    if (entry.dtype == "BF16") convert<bf16>(raw, values, [](bf16 v) { return float(v); });
    if (entry.dtype == "F64") convert<double>(raw, values, [](double v) { return float(v); });
  }
  if (!allow_nonfinite)
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]))
        throw InputError(cat(path_, ": tensor '", entry.name, "': element ", i, " is ", values[i],
                             "; finite f32 numbers are needed"));
  return values;
}

std::vector<std::int32_t> SafetensorsReader::read_i32(const SafetensorsEntry& entry) const {
  if (entry.dtype[0] != 'I' && entry.dtype[0] != 'U' && entry.dtype != "BOOL")
    throw InputError(
        cat(path_, ": tensor '", entry.name, "' is ", entry.dtype, "; integers are needed"));
  std::vector<std::int32_t> values(entry.elements());
  std::vector<std::byte> raw(std::size_t(entry.bytes()));
  read(entry, raw.data());
  const auto narrow = [&](auto v) {
    if (!std::in_range<std::int32_t>(v))
      throw InputError(
          cat(path_, ": tensor '", entry.name, "' holds ", v, "; it must fit 32 bits"));
    return std::int32_t(v);
  };
  const auto byte = [](auto v) { return std::int32_t(v); };
  if (entry.dtype == "I64")
    convert<std::int64_t>(raw, values, narrow);
  else if (entry.dtype == "U64")
    convert<std::uint64_t>(raw, values, narrow);
  else if (entry.dtype == "U32")
    convert<std::uint32_t>(raw, values, narrow);
  else if (entry.dtype == "I32")
    convert<std::int32_t>(raw, values, narrow);
  else if (entry.dtype == "I16")
    convert<std::int16_t>(raw, values, narrow);
  else if (entry.dtype == "U16")
    convert<std::uint16_t>(raw, values, narrow);
  else if (entry.dtype == "I8")
    convert<signed char>(raw, values, byte);
  else
    convert<unsigned char>(raw, values, byte);  // U8, BOOL
  return values;
}

static void sort_as_the_format_does(std::vector<SafetensorsTensor>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    const int x = safetensors_bits(a.dtype), y = safetensors_bits(b.dtype);
    return x != y ? x > y : a.name < b.name;
  });
}

std::vector<std::uint8_t> safetensors_bytes(std::vector<SafetensorsTensor> tensors,
                                            const SafetensorsMetadata& metadata) {
  sort_as_the_format_does(tensors);
  const std::string header = make_safetensors_header(tensors, metadata);
  std::vector<std::uint8_t> bytes(header.begin(), header.end());
  for (const auto& t : tensors) {
    const auto* data = static_cast<const std::uint8_t*>(t.data);
    bytes.insert(bytes.end(), data, data + t.bytes());
  }
  return bytes;
}

void write_safetensors(FileSystem& fs, const std::string& path,
                       std::vector<SafetensorsTensor> tensors,
                       const SafetensorsMetadata& metadata) {
  sort_as_the_format_does(tensors);
  const std::string header = make_safetensors_header(tensors, metadata);
  std::vector<std::string_view> parts = {header};
  for (const auto& t : tensors)
    parts.emplace_back(static_cast<const char*>(t.data), std::size_t(t.bytes()));
  write_output(fs, path, parts);
}

}  // namespace haze::engine
