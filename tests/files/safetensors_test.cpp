// SPDX-License-Identifier: MIT
// safetensors_test.cpp — reading what the format's own library writes, conversions, equal bytes,
// and the other systems' files that are refused.
#include <cstdlib>

#include "tests/support/files.h"
#include "tests/support/memory_file_system.h"
#include "tests/support/paths.h"

namespace haze::engine {
namespace {

template <class T>
std::string raw(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

/// A file in memory: length, header, data.
std::string file_of(const std::string& json, const std::string& data) {
  std::string length(8, '\0');
  for (int i = 0; i < 8; ++i) length[std::size_t(i)] = char(json.size() >> (8 * i));
  return length + json + data;
}

std::string entry(const std::string& name, const std::string& dtype, int n, std::size_t bytes) {
  return cat("{\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":[", n, "],\"data_offsets\":[0,",
             bytes, "]}}");
}

TEST(Safetensors, WritesWhatTheFormatsLibraryWrites) {
  test::MemoryFileSystem memory;
  const std::vector<float> a = {1, 2, 3};
  const std::int64_t t = 5;
  write_safetensors(memory, "w",
                    {{"b", {3}, a.data()}, {"a.x", {1, 3}, a.data()}, {"t", {1}, &t, "I64"}});
  // Recorded from safetensors.numpy.save_file of the same arrays with metadata {"format": "pt"}.
  EXPECT_EQ(memory.bytes("w"),
            file_of("{\"__metadata__\":{\"format\":\"pt\"},"
                    "\"t\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
                    "\"a.x\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[8,20]},"
                    "\"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[20,32]}}  ",
                    raw<std::int64_t>({5}) + raw<float>({1, 2, 3}) + raw<float>({1, 2, 3})));
  const SafetensorsReader file(memory, "w");
  EXPECT_EQ(file.metadata(), (SafetensorsMetadata{{"format", "pt"}}));
  EXPECT_EQ(file.at("a.x").shape, (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(file.read_f32(file.at("b")), a);
  EXPECT_EQ(file.read_i32(file.at("t")), (std::vector<std::int32_t>{5}));
  test::expect_error<InputError>([&] { file.at("c"); }, "w: no tensor 'c'; it has 3: t, a.x, b");
  test::expect_error<InputError>([&] { file.read_f32(file.at("t")); }, "'t' is I64; F32");
  test::expect_error<InputError>([&] { file.read_i32(file.at("b")); }, "'b' is F32; integers");
}

TEST(Safetensors, ConvertsExactly) {
  const auto f32 = [](const std::string& dtype, const std::string& data, int n) {
    test::MemoryFileSystem memory;
    memory.add("f", file_of(entry("x", dtype, n, data.size()), data));
    const SafetensorsReader file(memory, "f");
    return file.read_f32(file.at("x"));
  };
  using F = std::vector<float>;
  // 1, -2, the largest and the two smallest halves, -0 (IEEE 754 binary16).
  EXPECT_EQ(f32("F16", raw<std::uint16_t>({0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x8000}), 6),
            (F{1, -2, 65504, 0x1p-24f, 1023 * 0x1p-24f, -0.0f}));
  EXPECT_EQ(f32("F16", raw<std::uint16_t>({0x0400}), 1), (F{0x1p-14f}));
  EXPECT_EQ(f32("BF16", raw<std::uint16_t>({0x3f80, 0xc000, 0x0001}), 3), (F{1, -2, 0x1p-133f}));
  EXPECT_EQ(f32("F64", raw<double>({0.1, -1e300 * 1e-290}), 2), (F{0.1f, -1e10f}));
  for (const auto& [dtype, data] :
       {std::pair<std::string, std::string>{"F16", raw<std::uint16_t>({0x7c00})},
        {"F16", raw<std::uint16_t>({0xfe00})},
        {"BF16", raw<std::uint16_t>({0x7fc0})},
        {"F64", raw<double>({1e39})},
        {"F32", raw<float>({-INFINITY})}})
    test::expect_error<InputError>([&] { f32(dtype, data, 1); }, "f: tensor 'x': element 0 is",
                                   dtype);

  const auto i32 = [](const std::string& dtype, const std::string& data, int n) {
    test::MemoryFileSystem memory;
    memory.add("f", file_of(entry("x", dtype, n, data.size()), data));
    const SafetensorsReader file(memory, "f");
    return file.read_i32(file.at("x"));
  };
  using I = std::vector<std::int32_t>;
  EXPECT_EQ(i32("I64", raw<std::int64_t>({-1, INT32_MAX, INT32_MIN}), 3),
            (I{-1, INT32_MAX, INT32_MIN}));
  EXPECT_EQ(i32("I8", raw<signed char>({-128}), 1), (I{-128}));
  EXPECT_EQ(i32("U8", raw<unsigned char>({255}), 1), (I{255}));
  EXPECT_EQ(i32("I16", raw<std::int16_t>({-7}), 1), (I{-7}));
  EXPECT_EQ(i32("U16", raw<std::uint16_t>({65535}), 1), (I{65535}));
  EXPECT_EQ(i32("I32", raw<std::int32_t>({-9}), 1), (I{-9}));
  EXPECT_EQ(i32("BOOL", raw<unsigned char>({1, 0}), 2), (I{1, 0}));
  for (const auto& [dtype, data] : {std::pair<std::string, std::string>{
                                        "I64", raw<std::int64_t>({std::int64_t(INT32_MAX) + 1})},
                                    {"I64", raw<std::int64_t>({std::int64_t(INT32_MIN) - 1})},
                                    {"U64", raw<std::uint64_t>({UINT64_MAX})},
                                    {"U32", raw<std::uint32_t>({0x80000000u})}})
    test::expect_error<InputError>([&] { i32(dtype, data, 1); }, "must fit 32 bits", dtype);
}

TEST(Safetensors, RefusesOtherFormatsWithAWayOn) {
  const std::string tail(64, 'x');
  test::MemoryFileSystem memory;
  memory.add("zip.pt", "PK\x03\x04" + tail);
  memory.add("old.pt", "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9" + tail);  // torch.save before 1.6
  memory.add("a.pkl", "\x80\x04\x95" + tail);
  memory.add("a.npy", "\x93NUMPY" + tail);
  memory.add("a.h5", "\x89HDF\r\n\x1a\n" + tail);
  memory.add("a.gguf", "GGUF" + tail);
  for (const auto& [name, inode] : memory.names)
    test::expect_error<InputError>([&] { SafetensorsReader(memory, name); }, "convert", name);
  test::expect_error<InputError>([&] { SafetensorsReader(memory, "zip.pt"); },
                                 "safetensors.torch.save_file");
  test::expect_error<InputError>([&] { SafetensorsReader(memory, "none"); },
                                 "cannot open none: No such file");
  memory.add("pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:" + tail);
  memory.add("page", "\n<!DOCTYPE html>" + tail);
  memory.add("m.safetensors.index.json", "{\"metadata\": {}, \"weight_map\": {}}" + tail);
  memory.add("packed", "\x1f\x8b\x08" + tail);
  for (const auto& [name, says] :
       {std::pair{"pointer", "a pointer of Git LFS, not the file itself"},
        {"page", "an HTML page"},
        {"m.safetensors.index.json", "JSON text, as the index of a model in several files is"},
        {"packed", "packed by gzip"}})
    test::expect_error<InputError>([&] { SafetensorsReader(memory, name); },
                                   cat(name, ": not a safetensors file: ", says));
  // A header of 640 bytes starts like a pickle, 80 02, and is none.
  const std::string json = "{" + std::string(638, ' ') + "}";
  memory.add("looks_like_pickle", file_of(json, ""));
  EXPECT_EQ(memory.bytes("looks_like_pickle").substr(0, 2), "\x80\x02");
  EXPECT_TRUE(SafetensorsReader(memory, "looks_like_pickle").tensors().empty());
  EXPECT_EQ(memory.open_files(), 0u);
  for (const char* path : {"/dev/null", "/tmp"})
    test::expect_error<InputError>([&] { SafetensorsReader(disk(), path); }, "not a regular file");
}

TEST(Safetensors, FileThatShrinksOrFailsWhileReadIsAnError) {
  test::MemoryFileSystem memory;
  const std::string data(400, 'd');
  memory.add("f", file_of(entry("x", "F32", 100, 400), data));
  const SafetensorsReader file(memory, "f");
  auto& bytes = memory.nodes[memory.names["f"]].bytes;
  bytes.resize(bytes.size() - 1);
  test::expect_error<InputError>([&] { file.read_f32(file.at("x")); }, "became shorter");
  bytes += 'd';
  memory.fault = [](auto&, auto, auto&) { return test::Fault{.at_most = 7}; };
  EXPECT_EQ(file.read_f32(file.at("x")).size(), 100u);  // short reads are no fault
  memory.fault = [](auto&, auto, auto&) { return test::Fault{.error = EIO}; };
  test::expect_error<InputError>([&] { file.read_f32(file.at("x")); }, "Input/output error");
}

TEST(Safetensors, ReadsRecordedWeights) {
  const char* data = std::getenv("HAZE_DATA_DIR");
  const std::string reference =
      data ? cat(data, "/../reference") : cat(test::source_dir(), "/../shared/reference");
  const std::string path = reference + "/unet_gray16.weights.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no recorded weights at " << path;
  const SafetensorsReader file(disk(), path);
  EXPECT_EQ(file.tensors().size(), 128u);
  EXPECT_EQ(file.at("down.0.res.conv1.weight").shape_text(), "[64,64,3,3]");
  EXPECT_EQ(file.read_f32(file.at("down.0.res.conv1.weight")).size(), 64u * 64 * 9);
}

}  // namespace
}  // namespace haze::engine
