// SPDX-License-Identifier: MIT
#include "tests/fuzz/large_inputs.h"

#include <zlib.h>

namespace haze::fuzz {
namespace {

std::string repeated(std::string_view text, std::size_t n) {
  std::string all;
  for (std::size_t i = 0; i < n; ++i) all += text;
  return all;
}

/// A gzip file of a head and then `zeros` bytes of zeros, a thousandth of that in size.
std::string gzipped(std::string content, std::size_t zeros) {
  content.resize(content.size() + zeros);
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&z, uLong(content.size())), '\0');
  z.next_in = reinterpret_cast<Bytef*>(content.data());
  z.avail_in = uInt(content.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = uInt(packed.size());
  deflate(&z, Z_FINISH);
  packed.resize(packed.size() - z.avail_out);
  deflateEnd(&z);
  return packed;
}

/// A safetensors file of `header` and no data.
std::string with_length(const std::string& header) {
  std::string file(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) file[i] = char(header.size() >> 8 * i);
  return file + header;
}

LargeInput input(const char* name, const std::string& text) {
  return {name, {text.begin(), text.end()}};
}
std::string brackets() { return repeated("[", 1 << 20); }
std::string braces() { return repeated("{\"a\":", 200'000); }
std::string megabyte() { return repeated("x", 1 << 20); }

}  // namespace

std::vector<LargeInput> large_inputs(std::string_view target) {
  if (target == "config")
    return {
        input("brackets", brackets()),
        input("brackets for a value", R"({"train":{"steps":)" + brackets()),
        input("a text of a megabyte", R"({"data":{"spec":")" + megabyte() + "\"}}"),
        input("a list of 200,000", R"({"model":{"widths":[1)" + repeated(",1", 200'000) + "]}}")};
  if (target == "set")
    return {input("brackets", "train.steps=" + brackets()), input("a long key", megabyte() + "=1")};
  if (target == "bench") return {input("brackets", brackets()), input("objects", braces())};
  if (target == "metrics")
    return {input("brackets", "  " + brackets() + "\n"),
            input("a row of a megabyte", "  {\"step\":1,\"x\":\"" + megabyte() + "\"}\n")};
  const std::string no_data(8, '\0');
  if (target == "safetensors_header")
    return {input("objects", no_data + braces() + "}"),
            input("65,537 names", no_data + "{\"a\":{}" + repeated(",\"a\":{}", 65'536) + "}")};
  if (target == "safetensors")
    return {input("a header of 17 MiB", with_length("{" + std::string(17 << 20, ' ') + "}"))};
  if (target == "checkpoint")
    return {input("metadata of 2 MiB",
                  with_length(R"({"__metadata__":{"a":")" + megabyte() + megabyte() + "\"}}"))};
  if (target == "gz") return {input("8 MiB of zeros", "\x10" + gzipped("", 8 << 20))};
  if (target == "idx")
    return {input("8 MiB of zeros", gzipped(std::string("\0\0\x08\x01\x04\0\0\0", 8), 8 << 20)),
            input("a promise of 2 GiB", std::string("\0\0\x08\x01\x7f\xff\xff\xff\0", 9))};
  if (target == "cifar10") return {input("300 records", std::string(300 * 3073, '\3'))};
  if (target == "printable")
    return {input("a megabyte of bytes", repeated("\xc2\x9b\x1b\xff", 1 << 18))};
  return {};
}

}  // namespace haze::fuzz
