// SPDX-License-Identifier: MIT
// Target: a checkpoint. Input: a file, tried as it is and once more with every hash in it made
// right, so that what lies behind the hashes is reached.
#include "engine/files/checkpoint.h"

#include <algorithm>
#include <cmath>

#include "engine/files/xxh3.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"
#include "tests/support/memory_file_system.h"

namespace haze::fuzz {
namespace {

constexpr std::size_t kDigits = 32;

void put_hash(std::string& json, const std::string& key, const void* data, std::size_t bytes) {
  const std::string before = "\"" + key + "\":\"";
  const auto at = json.find(before);
  if (at == json.npos || json.size() - at < before.size() + kDigits) return;
  json.replace(at + before.size(), kDigits, engine::xxh3_128(data, bytes));
}

/// The file with the hashes that haze would have written; nothing if it is no safetensors file.
std::optional<std::string> sealed(const std::string& file) {
  test::MemoryFileSystem fs;
  fs.add("/file", file);
  try {
    const engine::SafetensorsReader reader(fs, "/file");
    std::string json = reader.header_json();
    const std::string data = file.substr(8 + json.size());
    for (const auto& e : reader.tensors())
      put_hash(json, "hash." + e.name, data.data() + e.begin, std::size_t(e.bytes()));
    if (const auto at = reader.metadata().find("config"); at != reader.metadata().end())
      put_hash(json, "config_hash", at->second.data(), at->second.size());
    const std::string key = "\"header_hash\":\"";
    if (const auto at = json.find(key); at != json.npos && json.size() - at >= key.size() + kDigits)
      json.replace(at + key.size(), kDigits, kDigits, '0');
    const std::string blank = json;
    put_hash(json, "header_hash", blank.data(), blank.size());
    return file.substr(0, 8) + json + data;
  } catch (const InputError&) {
    return {};
  }
}

bool same(const engine::Checkpoint& a, const engine::Checkpoint& b) {
  const auto equal = [](const engine::LoadedTensor& x, const engine::LoadedTensor& y) {
    return x.name == y.name && x.shape == y.shape && x.values == y.values;
  };
  return a.meta == b.meta && std::ranges::equal(a.tensors, b.tensors, equal);
}

/// What was loaded is saved and loaded again, twice: nothing changes, and the bytes do not either.
void check_saved(const engine::Checkpoint& loaded) {
  std::vector<engine::CheckpointTensor> tensors;
  for (const auto& t : loaded.tensors) tensors.push_back({t.name, t.shape, t.values});
  std::string before;
  for (int i = 0; i < 2; ++i) {
    test::MemoryFileSystem fs;
    const engine::RunLock lock(fs, "/run");
    const auto report = engine::CheckpointWriter(fs, "/run").save(loaded.meta, tensors);
    const auto again = engine::load_newest_checkpoint(fs, "/run");
    promise(again && same(*again, loaded), "what was loaded is saved as something else");
    promise(i == 0 || fs.bytes(report.path) == before, "the same state gives other bytes");
    before = fs.bytes(report.path);
  }
}

/// No bit of the file can change unnoticed.
void check_hashes(const std::string& file) {
  for (const std::size_t at : {file.size() / 2, file.size() - 1, 8 + file.size() % 97}) {
    std::string flipped = file;
    flipped[at] = char(flipped[at] ^ 1);
    test::MemoryFileSystem fs;
    fs.add("/file", flipped);
    promise(!accepted([&] { return engine::load_checkpoint(fs, "/file"); }), "byte ", at,
            " changed unnoticed");
  }
}

void load(const std::string& file) {
  test::MemoryFileSystem fs;
  fs.add("/file", file);
  const auto header = accepted([&] { return engine::read_checkpoint_header(fs, "/file"); });
  const auto loaded = accepted([&] { return engine::load_checkpoint(fs, "/file"); });
  promise(!loaded || header, "loaded in spite of its header");
  const auto part = accepted([&] { return engine::load_checkpoint(fs, "/file", "ema."); });
  promise(!loaded || part, "all can be loaded, a part cannot");
  promise(fs.open_files() == 0, "a file is left open");
  if (!loaded) return;
  promise(header->meta == loaded->meta && header->hash == loaded->hash, "two headers");
  promise(loaded->tensors.size() == header->tensors.size(), "a tensor got lost");
  std::size_t averaged = 0;
  for (const auto& t : loaded->tensors) {
    averaged += t.name.starts_with("ema.");
    std::size_t n = 1;
    for (const auto extent : t.shape) n *= std::size_t(extent);
    promise(n == t.values.size(), t.name, " has ", t.values.size(), " values");
    promise(std::ranges::all_of(t.values, [](float v) { return std::isfinite(v); }), t.name,
            " is not finite");
  }
  promise(part->tensors.size() == averaged, "a part of another size");
  check_saved(*loaded);
  check_hashes(file);
}

void one_input(Input input) {
  const std::string file = text_of(input);
  load(file);
  if (const auto whole = sealed(file); whole && *whole != file) load(*whole);
}

const Target kTarget("checkpoint", one_input);

}  // namespace
}  // namespace haze::fuzz
