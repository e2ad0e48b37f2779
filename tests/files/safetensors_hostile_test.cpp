// SPDX-License-Identifier: MIT
// safetensors_hostile_test.cpp — files made to break a reader. Each is refused with the reason that
// fits; whatever is accepted is held against the rules again, recomputed in 128 bits.
#include "tests/support/files.h"
#include "tests/support/memory_file_system.h"

namespace haze::engine {
namespace {
using Limits = SafetensorsLimits;
constexpr std::uint64_t kMax = UINT64_MAX;

std::string length_field(std::uint64_t n) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[std::size_t(i)] = char(n >> (8 * i));
  return bytes;
}

/// Rules of the format that can be restated from a parsed header alone, without 64-bit wrap.
void expect_invariants(const SafetensorsHeader& header, std::uint64_t data_bytes,
                       const std::string& label) {
  unsigned __int128 next = 0;
  for (const auto& e : header.tensors) {
    unsigned __int128 bits = unsigned(safetensors_bits(e.dtype));
    EXPECT_GT(bits, 0u) << label;
    EXPECT_LE(e.shape.size(), Limits::rank) << label;
    // An axis at a time, so that no product passes 2^67 * 2^40; a 0 anywhere makes the whole 0.
    const bool empty = std::count(e.shape.begin(), e.shape.end(), 0) > 0;
    for (const auto extent : e.shape) {
      EXPECT_LE(std::uint64_t(extent), Limits::extent) << label;
      bits = empty ? 0 : bits * std::uint64_t(extent);
      EXPECT_TRUE(bits <= static_cast<unsigned __int128>(data_bytes) * 8) << label;
    }
    EXPECT_TRUE(e.begin == next && e.end >= e.begin) << label;
    EXPECT_TRUE(bits == static_cast<unsigned __int128>(e.end - e.begin) * 8) << label;
    next = e.end;
  }
  EXPECT_TRUE(next == data_bytes) << label;
}

struct Case {
  std::string json;
  std::uint64_t data;
  std::string reason;  // empty: accepted
};

void expect_judged(const Case& c) {
  const std::string label = c.json.substr(0, 200);
  if (!c.reason.empty())
    return test::expect_error<InputError>([&] { parse_safetensors_header(c.json, c.data, "F"); },
                                          c.reason, label);
  try {
    expect_invariants(parse_safetensors_header(c.json, c.data, "F"), c.data, label);
  } catch (const InputError& e) {
    ADD_FAILURE() << label << ": refused: " << e.what();
  }
}

std::string entry(const std::string& dtype, const std::string& shape, std::uint64_t begin,
                  std::uint64_t end) {
  return cat("{\"dtype\":\"", dtype, "\",\"shape\":[", shape, "],\"data_offsets\":[", begin, ",",
             end, "]}");
}
std::string one(const std::string& dtype, const std::string& shape, std::uint64_t begin,
                std::uint64_t end) {
  return "{\"a\":" + entry(dtype, shape, begin, end) + "}";
}
std::string two(std::uint64_t b0, std::uint64_t e0, std::uint64_t b1, std::uint64_t e1) {
  return "{\"a\":" + entry("U8", std::to_string(e0 - b0), b0, e0) +
         ",\"b\":" + entry("U8", std::to_string(e1 - b1), b1, e1) + "}";
}
std::string repeated(const std::string& text, std::size_t n, const std::string& separator = "") {
  std::string all;
  for (std::size_t i = 0; i < n; ++i) all += (i ? separator : "") + text;
  return all;
}

TEST(SafetensorsHostile, Syntax) {
  const std::string good = one("F32", "2", 0, 8), bad_value = "needs an object";
  const Case cases[] = {
      {good, 8, ""},
      {good + "   ", 8, ""},
      {"{}", 0, ""},
      {"{ \n\t}", 0, ""},
      {"", 0, "not a JSON object"},
      {" {}", 0, "not a JSON object"},
      {"\xef\xbb\xbf{}", 0, "not a JSON object"},
      {"{}\n", 0, "not a JSON object"},
      {good + "\t", 8, "not a JSON object"},
      {good + std::string(1, '\0'), 8, "not a JSON object"},
      {"[]", 0, "not a JSON object"},
      {"{}{}", 0, "not JSON"},
      {"{} {}", 0, "not JSON"},
      {"{", 0, "not a JSON object"},
      {"{\"a\":}", 0, "not JSON"},
      {"{'a':1}", 0, "not JSON"},
      {"{/**/}", 0, "not JSON"},
      {"{\"a\":" + entry("F32", "2", 0, 8) + ",}", 8, "not JSON"},
      {"{\"\xff\":{}}", 0, "not JSON"},          // not UTF-8
      {"{\"\xc0\xaf\":{}}", 0, "not JSON"},      // overlong
      {"{\"\xed\xa0\x80\":{}}", 0, "not JSON"},  // surrogate
      {"{\"__metadata__\":{\"k\":\"\xf5\"}}", 0, "not JSON"},
      {"{\"a\":1}", 0, "each name must have an object"},
      {"{\"a\":null}", 0, "each name must have an object"},
      {"{\"a\":\"x\"}", 0, "each name must have an object"},
      {"{\"a\":[]}", 0, "each name must have an object"},
      {"{\"a\":" + repeated("[", 100'000) + repeated("]", 100'000) + "}", 0,
       "each name must have an object"},
      {repeated("{\"a\":", 100'000) + "1" + repeated("}", 100'000), 0, "unknown key 'a'"},
      {repeated("{\"__metadata__\":", 3) + "1" + repeated("}", 3), 0, "metadata must be strings"},
      {"{\"a\":{\"dtype\":{\"x\":1}}}", 0, "unexpected an object"},
      {"{\"a\":{\"shape\":[[1]]}}", 0, "unexpected an array"},
  };
  for (const auto& c : cases) expect_judged(c);
}

TEST(SafetensorsHostile, Entries) {
  const std::string d = "\"dtype\":\"U8\"", s = "\"shape\":[4]", o = "\"data_offsets\":[0,4]";
  const auto a = [](const std::string& inside) { return "{\"a\":{" + inside + "}}"; };
  const Case cases[] = {
      {a(d + "," + s + "," + o), 4, ""},
      {a(o + "," + d + "," + s), 4, ""},
      {a(d + "," + s), 4, "no data_offsets"},
      {a(d + "," + o), 4, "no shape"},
      {a(s + "," + o), 4, "no dtype"},
      {a(""), 0, "no dtype"},
      {a(d + "," + s + "," + o + ",\"x\":1"), 4, "unknown key 'x'"},
      {a(d + "," + s + "," + o + "," + d), 4, "duplicate key 'dtype'"},
      {a(d + "," + s + "," + o + "," + s), 4, "duplicate key 'shape'"},
      {"{\"a\":{" + d + "," + s + "," + o + "},\"a\":{" + d + "," + s + "," + o + "}}", 4,
       "duplicate key 'a'"},
      {"{\"a\":{" + d + "," + s + "," + o + "},\"\\u0061\":{}}", 4, "duplicate key 'a'"},
      {a("\"dtype\":\"U9\"," + s + "," + o), 4, "unknown dtype 'U9'"},
      {a("\"dtype\":\"f32\"," + s + "," + o), 4, "unknown dtype 'f32'"},
      {a("\"dtype\":\"\"," + s + "," + o), 4, "unknown dtype ''"},
      {a("\"dtype\":\"\\u001b[2J\"," + s + "," + o), 4, "unknown dtype '\\x1b[2J'"},
      {a("\"dtype\":7," + s + "," + o), 4, "unexpected a number in dtype"},
      {a("\"dtype\":[\"U8\"]," + s + "," + o), 4, "unexpected an array in dtype"},
      {a(d + ",\"shape\":4," + o), 4, "unexpected a number in shape"},
      {a(d + ",\"shape\":\"4\"," + o), 4, "unexpected a string in shape"},
      {a(d + ",\"shape\":[-4]," + o), 4, "unexpected a negative number in shape"},
      {a(d + ",\"shape\":[-0]," + o), 4, "unexpected"},
      {a(d + ",\"shape\":[4.0]," + o), 4, "the number '4.0' in shape"},
      {a(d + ",\"shape\":[4e0]," + o), 4, "the number '4e0' in shape"},
      {a(d + ",\"shape\":[04]," + o), 4, "not JSON"},
      {a(d + ",\"shape\":[NaN]," + o), 4, "not JSON"},
      {a(d + ",\"shape\":[true]," + o), 4, "unexpected a boolean in shape"},
      {a(d + ",\"shape\":[null]," + o), 4, "unexpected null in shape"},
      {a(d + "," + s + ",\"data_offsets\":[0]"), 4, "data_offsets has 1 numbers"},
      {a(d + "," + s + ",\"data_offsets\":[]"), 4, "data_offsets has 0 numbers"},
      {a(d + "," + s + ",\"data_offsets\":[0,4,4]"), 4, "more than 2 numbers"},
      {a(d + "," + s + ",\"data_offsets\":[0,18446744073709551616]"), 4,
       "the number '18446744073709551616'"},
      {a(d + "," + s + ",\"data_offsets\":[-1,4]"), 4, "negative number in data_offsets"},
      {"{\"__metadata__\":{\"k\":\"v\",\"k2\":\"\"}}", 0, ""},
      {"{\"__metadata__\":{\"k\":\"v\",\"k\":\"v\"}}", 0, "duplicate key 'k'"},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate key '__metadata__'"},
      {"{\"__metadata__\":{\"k\":1}}", 0, "metadata must be strings"},
      {"{\"__metadata__\":{\"k\":null}}", 0, "metadata must be strings"},
      {"{\"__metadata__\":{\"k\":[]}}", 0, "metadata must be strings"},
      {"{\"__metadata__\":{\"k\":{}}}", 0, "metadata must be strings"},
      {"{\"__metadata__\":[]}", 0, "unexpected an array"},
      {"{\"__metadata__\":\"x\"}", 0, "unexpected a string"},
  };
  for (const auto& c : cases) expect_judged(c);
}

TEST(SafetensorsHostile, OffsetsAndSizes) {
  const Case cases[] = {
      {two(0, 4, 4, 8), 8, ""},
      {two(4, 8, 0, 4), 8, ""},  // any order in the header
      {two(0, 0, 0, 4), 4, ""},  // an empty tensor shares its place
      {two(0, 4, 4, 4), 4, ""},
      {two(0, 4, 5, 9), 9, "'b': a hole of 1 bytes"},
      {two(1, 4, 4, 8), 8, "'a': a hole of 1 bytes"},
      {two(0, 4, 3, 8), 8, "'b': its data at 3 overlaps"},
      {two(0, 4, 0, 4), 4, "overlaps"},
      {two(0, 8, 2, 4), 8, "overlaps"},
      {two(0, 4, 4, 8), 7, "ends at 8, the file has 7"},
      {two(0, 4, 4, 8), 9, "1 bytes after the last tensor"},
      {"{}", 1, "1 bytes after the last tensor"},
      {one("U8", "0", 5, 5), 5, "a hole of 5"},
      {one("U8", "4", 4, 0), 4, "run backwards"},
      {one("U8", "0", kMax, 0), 0, "run backwards"},
      {one("F32", "2", 0, 8), 8, ""},
      {one("F32", "2", 0, 7), 7, "needs 8 bytes"},
      {one("F32", "2", 0, 9), 9, "needs 8 bytes"},
      {one("F32", "", 0, 4), 4, ""},  // a scalar
      {one("F32", "", 0, 0), 0, "needs 4 bytes"},
      {one("F32", "0", 0, 0), 0, ""},
      {one("F32", "3,0,5", 0, 0), 0, ""},
      {one("F4", "2", 0, 1), 1, ""},
      {one("F4", "3", 0, 2), 2, "not a whole number of bytes"},
      {one("F6_E2M3", "4", 0, 3), 3, ""},
      {one("F6_E3M2", "3", 0, 2), 2, "not a whole number of bytes"},
      {one("C64", "1", 0, 8), 8, ""},
  };
  for (const auto& c : cases) expect_judged(c);
}

TEST(SafetensorsHostile, EveryWrapAndLimit) {
  // Promised sizes around each power of two, of types whose product with their width wraps there.
  for (const int power : {31, 32, 39, 61, 62, 63, 64})
    for (const int delta : {-1, 0, 1}) {
      const std::uint64_t n = (power == 64 ? 0 : std::uint64_t(1) << power) + std::uint64_t(delta);
      for (const char* dtype : {"U8", "F16", "F32", "F64", "F4"})
        for (const std::uint64_t data :
             {std::uint64_t(0), std::uint64_t(8), n, n * 2, n * 4, n * 8}) {
          // Right only if the true product is what the file has.
          const unsigned __int128 bits =
              static_cast<unsigned __int128>(n) * unsigned(safetensors_bits(dtype));
          const bool right =
              n <= Limits::extent && bits == static_cast<unsigned __int128>(data) * 8;
          expect_judged({one(dtype, std::to_string(n), 0, data), data,
                         right                ? ""
                         : n > Limits::extent ? "an extent is"
                                              : "F: tensor 'a': shape"});
          expect_judged({one("U8", "0", n, n), 8,
                         n == 0  ? "8 bytes after"
                         : n < 9 ? "hole"
                                 : "a hole of"});
        }
    }
  const Case wraps[] = {
      // Products that are 0, 8 or small modulo 2^64.
      {one("U8", "4294967296,4294967296", 0, 0), 0, "more than 2^64 elements"},
      {one("F32", "4294967296,1073741824", 0, 0), 0, "more than 2^64 bits"},
      {one("F64", "4294967296,536870912", 0, 0), 0, "more than 2^64 bits"},
      {one("U8", "4294967297,4294967297", 0, 8589934593), 8589934593, "more than 2^64 elements"},
      {one("U8", "549755813888,549755813888,0", 0, 0), 0, "more than 2^64 elements"},
      {one("U8", "0,549755813888,549755813888", 0, 0), 0, ""},
      {one("U8", "1099511627775", 0, 8), 8, "needs 1099511627775"},
      {one("U8", "1099511627776", 0, 8), 8, "an extent is 1099511627776"},
      {one("U8", "1,1,1,1,1,1,1", 0, 1), 1, ""},
      {one("U8", "1,1,1,1,1,1,1,1", 0, 1), 1, ""},
      {one("U8", "1,1,1,1,1,1,1,1,1", 0, 1), 1, "more than 8 axes"},
  };
  for (const auto& c : wraps) expect_judged(c);

  for (const std::size_t n : {Limits::name_bytes - 1, Limits::name_bytes, Limits::name_bytes + 1})
    expect_judged({"{\"" + std::string(n, 'n') + "\":" + entry("U8", "1", 0, 1) + "}", 1,
                   n > Limits::name_bytes ? "has 257 bytes; allowed are 1 to 256" : ""});
  for (int c = 1; c < 128; ++c) {
    const bool ok = std::isalnum(c) || c == '_' || c == '.' || c == '-';
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\u%04x", unsigned(c));
    expect_judged(
        {cat("{\"", escaped, "\":", entry("U8", "1", 0, 1), "}"), 1, ok ? "" : "[A-Za-z0-9_.-]"});
  }
  expect_judged({"{\"\":" + entry("U8", "1", 0, 1) + "}", 1, "has 0 bytes"});
  expect_judged({"{\"\\u0000\":" + entry("U8", "1", 0, 1) + "}", 1, "'\\x00'"});
  expect_judged({"{\"\xc3\xa9\":" + entry("U8", "1", 0, 1) + "}", 1, "'\\xc3\\xa9'"});

  for (const std::uint64_t n :
       {Limits::metadata_bytes - 1, Limits::metadata_bytes, Limits::metadata_bytes + 1})
    expect_judged({"{\"__metadata__\":{\"k\":\"v\",\"key\":\"" + std::string(n - 5, 'v') + "\"}}",
                   0, n > Limits::metadata_bytes ? "__metadata__: more than 1048576 bytes" : ""});
  for (const std::size_t n : {Limits::tensors - 1, Limits::tensors, Limits::tensors + 1}) {
    std::string json = "{";
    for (std::size_t i = 0; i < n; ++i)
      json += cat(i ? "," : "", "\"", i, "\":", entry("U8", "0", 0, 0));
    expect_judged({json + "}", 0, n > Limits::tensors ? "more than 65536 tensors" : ""});
  }
}

TEST(SafetensorsHostile, LengthField) {
  test::MemoryFileSystem memory;
  const auto judge = [&](const std::string& bytes, const std::string& reason) {
    memory.names.clear();
    memory.add("F", bytes);
    const std::string label = cat("length field of ", bytes.size(), " bytes");
    if (reason.empty())
      EXPECT_NO_THROW(SafetensorsReader(memory, "F")) << label;
    else
      test::expect_error<InputError>([&] { SafetensorsReader(memory, "F"); }, reason, label);
  };
  for (std::size_t n = 0; n < 8; ++n) judge(std::string(n, '\0'), cat("it has ", n, " bytes"));
  judge(length_field(0), "would have 0 bytes");
  judge(length_field(1) + "{", "would have 1 bytes");
  judge(length_field(2) + "{", "it is cut short");
  judge(length_field(2) + "{}", "");
  judge(length_field(2) + "{}x", "1 bytes after the last tensor");
  judge(length_field(3) + "{} ", "");
  judge(length_field(2) + "[]", "does not start with '{'");
  for (const std::uint64_t n :
       {Limits::header_bytes - 1, Limits::header_bytes, Limits::header_bytes + 1})
    judge(length_field(n) + "{}" + std::string(n - 2, ' '),
          n > Limits::header_bytes ? "at most 16777216 are read" : "");
  for (const int power : {31, 32, 61, 62, 63, 64})
    for (const int delta : {-9, -8, -1, 0, 1}) {
      const std::uint64_t n = (power == 64 ? 0 : std::uint64_t(1) << power) + std::uint64_t(delta);
      judge(length_field(n) + "{}", n < 2 ? "at least 2 are needed" : "at most 16777216 are read");
    }
}

TEST(SafetensorsHostile, TruncatedOrExtendedAnywhere) {
  test::MemoryFileSystem memory;
  const std::vector<float> values = {1, 2, 3, 4};
  write_safetensors(memory, "F", {{"a", {3}, values.data()}, {"b", {2, 2}, values.data()}});
  const std::string whole = memory.bytes("F");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    memory.names.clear();
    memory.add("F", whole.substr(0, n));
    test::expect_error<InputError>([&] { SafetensorsReader(memory, "F"); },
                                   "F: ", cat("cut at ", n));
  }
  memory.names.clear();
  memory.add("F", whole + '\0');
  test::expect_error<InputError>([&] { SafetensorsReader(memory, "F"); },
                                 "1 bytes after the last tensor");
  // Every single byte of the header to each of 8 other values: refused, or right by the rules.
  int accepted = 0;
  for (std::size_t at = 0; at < whole.size() - 28; ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = whole;
      changed[at] = char(changed[at] ^ (1 << bit));
      memory.names.clear();
      memory.add("F", changed);
      try {
        const SafetensorsReader file(memory, "F");
        expect_invariants(file.header(), changed.size() - 8 - file.header_json().size(),
                          "a flipped bit");
        ++accepted;
      } catch (const InputError&) {
      }
    }
  EXPECT_GT(accepted, 0);  // a letter of a name, say
  EXPECT_EQ(memory.open_files(), 0u);
}

TEST(SafetensorsHostile, WriterRefusesWhatAReaderWould) {
  const std::vector<float> v(4);
  const auto make = [&](const std::vector<SafetensorsTensor>& tensors,
                        const SafetensorsMetadata& m = {}) { make_safetensors_header(tensors, m); };
  EXPECT_THROW(make({{"a b", {4}, v.data()}}), CheckError);
  EXPECT_THROW(make({{"a", {4}, v.data()}, {"a", {4}, v.data()}}), CheckError);
  EXPECT_THROW(make({{"a", {-1}, v.data()}}), CheckError);
  EXPECT_THROW(make({{"a", {4}, v.data(), "F31"}}), CheckError);
  EXPECT_THROW(make({{"a", std::vector<std::int64_t>(9, 1), v.data()}}), CheckError);
  EXPECT_THROW(make({{"a", {1ll << 39, 1ll << 39}, v.data()}}), CheckError);
  EXPECT_THROW(make({}, {{"k", std::string(Limits::metadata_bytes, 'v')}}), CheckError);
  EXPECT_THROW(make({}, {{"k", "\xff"}}), InputError);
}

}  // namespace
}  // namespace haze::engine
