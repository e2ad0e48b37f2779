// SPDX-License-Identifier: MIT
// Target: a whole safetensors file, and every tensor of it as numbers.
#include "engine/files/safetensors.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/safetensors_rules.h"
#include "tests/support/memory_file_system.h"

namespace haze::fuzz {
namespace {

using engine::SafetensorsEntry;

/// Element i of the bytes as a whole number, by the format's definition of the type.
template <class T>
T element(Input bytes, std::size_t i) {
  T v;
  std::memcpy(&v, bytes.data() + i * sizeof v, sizeof v);
  return v;
}

/// IEEE 754's binary16, by its formula.
double half(std::uint16_t h) {
  const int exponent = h >> 10 & 31, mantissa = h & 1023;
  const double size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                      : exponent     ? std::ldexp(1024 + mantissa, exponent - 25)
                                     : std::ldexp(mantissa, -24);
  return h & 0x8000 ? -size : size;
}

double real(std::string_view type, Input bytes, std::size_t i) {
  if (type == "F32") return element<float>(bytes, i);
  if (type == "F64") return float(element<double>(bytes, i));
  const auto bits = element<std::uint16_t>(bytes, i);
  if (type == "F16") return half(bits);
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

std::optional<std::int32_t> whole(std::string_view type, Input bytes, std::size_t i) {
  const bool is_signed = type[0] == 'I';
  const std::size_t size =
      type == "BOOL" ? 1 : std::size_t(std::stoi(std::string(type.substr(1)))) / 8;
  std::uint64_t v = 0;
  std::memcpy(&v, bytes.data() + i * size, size);
  if (is_signed && size < 8 && v >> (8 * size - 1)) v |= ~std::uint64_t{0} << 8 * size;
  if (is_signed ? std::int64_t(v) == std::int32_t(v) : v <= INT32_MAX) return std::int32_t(v);
  return {};
}

void check_reals(const engine::SafetensorsReader& file, const SafetensorsEntry& e, Input bytes) {
  const auto values = accepted([&] { return file.read_f32(e); });
  const bool known = e.dtype == "F32" || e.dtype == "F16" || e.dtype == "BF16" || e.dtype == "F64";
  bool finite = true;
  for (std::size_t i = 0; known && i < e.elements(); ++i) {
    const double want = real(e.dtype, bytes, i);
    finite &= std::isfinite(want);
    promise(!values || (*values)[i] == want, "element ", i, " of ", e.dtype, " is read as ",
            values ? (*values)[i] : 0, ", not ", want);
  }
  promise(bool(values) == (known && finite), "read_f32 of ", e.dtype, ", finite ", finite);
}

void check_integers(const engine::SafetensorsReader& file, const SafetensorsEntry& e, Input bytes) {
  const auto values = accepted([&] { return file.read_i32(e); });
  const bool known = e.dtype[0] == 'I' || e.dtype[0] == 'U' || e.dtype == "BOOL";
  bool fit = true;
  for (std::size_t i = 0; known && i < e.elements(); ++i) {
    const auto want = whole(e.dtype, bytes, i);
    fit &= bool(want);
    promise(!values || (*values)[i] == want, "element ", i, " of ", e.dtype, " is wrong");
  }
  promise(bool(values) == (known && fit), "read_i32 of ", e.dtype, ", fit ", fit);
}

void one_input(Input input) {
  test::MemoryFileSystem fs;
  fs.add("/file", text_of(input));
  accepted([&] {
    const engine::SafetensorsReader file(fs, "/file");
    const std::uint64_t header = file.header_json().size();
    promise(8 + header <= input.size(), "a header beyond the file");
    promise(text_of(input.subspan(8, header)) == file.header_json(), "another header");
    const Input data = input.subspan(8 + header);
    hold_to_format(file.header(), file.header_json(), data.size());
    for (const auto& e : file.tensors()) {
      Bytes raw(e.bytes());
      file.read(e, raw.data());
      promise(std::equal(raw.begin(), raw.end(), data.begin() + std::ptrdiff_t(e.begin)),
              "other bytes of ", e.name);
      check_reals(file, e, raw);
      check_integers(file, e, raw);
    }
  });
  promise(fs.open_files() == 0, "a file is left open");
}

const Target kTarget("safetensors", one_input);

}  // namespace
}  // namespace haze::fuzz
