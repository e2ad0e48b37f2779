// SPDX-License-Identifier: MIT
// files.h — test helpers on files: a folder of one's own, states to save, expected errors.
#pragma once
#include <filesystem>
#include <unistd.h>

#include "engine/files/checkpoint.h"
#include "engine/files/new_file.h"
#include "tests/support/test.h"

namespace haze::test {

/// An empty folder that goes with the object.
struct TemporaryFolder {
  std::string path;
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "haze_test_XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code none;
    std::filesystem::remove_all(path, none);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path + "/" + name; }
};

/// Expects f() to throw E with `text` in its message.
template <class E, class F>
void expect_error(F f, const std::string& text, const std::string& label = "") {
  try {
    f();
    ADD_FAILURE() << label << ": nothing was thrown; expected an error that says: " << text;
  } catch (const E& e) {
    EXPECT_THAT(std::string(e.what()), testing::HasSubstr(text)) << label;
  }
}

/// What a small run would save after `step` steps: a function of the step, so that what is loaded
/// can be held against it.
struct RunState {
  engine::CheckpointMeta meta;
  std::vector<std::pair<std::string, std::vector<float>>> tensors;
  std::vector<std::vector<std::int64_t>> shapes;

  explicit RunState(std::uint64_t step, std::size_t scale = 1) {
    meta = {step, 7, "0.1.0", "{\"model\":\"labml_unet\",\"note\":\"\\\"header_hash\\\":\\\"\"}",
            "set-1"};
    unsigned seed = unsigned(step) * 16;
    for (const char* kind : {"model.", "ema.", "adam_m.", "adam_v."}) {
      add(std::string(kind) + "conv.weight", {std::int64_t(scale), 3, 1, 2}, ++seed);
      add(std::string(kind) + "conv.bias", {3}, ++seed);
    }
  }
  void add(const std::string& name, const std::vector<std::int64_t>& shape, unsigned seed) {
    std::size_t n = 1;
    for (const auto extent : shape) n *= std::size_t(extent);
    const auto drawn = normal(n, seed);
    tensors.emplace_back(name, std::vector<float>(drawn.begin(), drawn.end()));
    shapes.push_back(shape);
  }
  std::vector<engine::CheckpointTensor> views() const {
    std::vector<engine::CheckpointTensor> v;
    for (std::size_t i = 0; i < tensors.size(); ++i)
      v.push_back({tensors[i].first, shapes[i], tensors[i].second});
    return v;
  }
  /// Bit for bit what this state would be after saving and loading.
  bool equals(const engine::Checkpoint& c) const {
    if (!(c.meta == meta) || c.tensors.size() != tensors.size()) return false;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const auto at = std::find_if(c.tensors.begin(), c.tensors.end(),
                                   [&](const auto& t) { return t.name == tensors[i].first; });
      if (at == c.tensors.end() || at->shape != shapes[i] || at->values != tensors[i].second)
        return false;
    }
    return true;
  }
};

}  // namespace haze::test
