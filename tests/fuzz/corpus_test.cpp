// SPDX-License-Identifier: MIT
// corpus_test.cpp — every file of corpus/TARGET/ through its target, then changed ones: what a
// build without libFuzzer can do of scripts/fuzz, the same inputs each time.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/large_inputs.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/target.h"
#include "tests/support/paths.h"
#include "tests/support/test.h"

// In the run-time libraries of the sanitizers, and only there.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace haze::fuzz {
namespace {

namespace fs = std::filesystem;
constexpr int kMutations = 200;
constexpr std::size_t kLongestMutated = 16 << 10;  // longer files are used as they are

struct CorpusFile {
  std::string name;
  Bytes bytes;
};

std::string corpus() { return test::source_dir() + "/tests/fuzz/corpus"; }

std::vector<CorpusFile> corpus_of(const std::string& target) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(corpus() + "/" + target))
    paths.push_back(entry.path());
  std::ranges::sort(paths);
  std::vector<CorpusFile> files;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    files.push_back({path.filename(), {std::istreambuf_iterator<char>(in), {}}});
  }
  return files;
}

/// What is being run, for the last words of a program that a sanitizer ends.
std::string running;

/// False, with the reason, if the target finds a fault.
bool keeps_its_promises(const Target& target, const std::string& name, const Bytes& bytes) {
  running = name;
  try {
    target.run(bytes);
    return true;
  } catch (const std::exception& e) {
    ADD_FAILURE() << name << ": " << e.what();
  }
  return false;
}

void keep(const Bytes& bytes) {
  const std::string path = (fs::temp_directory_path() / "haze_fuzz_input").string();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
  ADD_FAILURE() << "the input is kept: " << path;
}

class Corpus : public testing::TestWithParam<const Target*> {
  void SetUp() override {
    if (__sanitizer_set_death_callback)
      __sanitizer_set_death_callback([] { std::fprintf(stderr, "== in %s\n", running.c_str()); });
  }
};

TEST_P(Corpus, IsReadAsPromised) {
  const Target& target = *GetParam();
  const auto files = corpus_of(target.name);
  ASSERT_FALSE(files.empty());
  for (const auto& file : files)
    keeps_its_promises(target, cat("corpus/", target.name, "/", file.name), file.bytes);
  for (const auto& large : large_inputs(target.name))
    keeps_its_promises(target, large.name, large.bytes);

  unsigned seed = 0;
  for (const char* c = target.name; *c; ++c) seed = seed * 31 + std::uint8_t(*c);
  Mutator mutator(seed);
  for (int i = 0; i < kMutations; ++i) {
    const auto& file = files[mutator.below(files.size())];
    const auto& other = files[mutator.below(files.size())];
    if (file.bytes.size() > kLongestMutated) continue;
    const Bytes changed = mutator.mutated(file.bytes, other.bytes);
    if (!keeps_its_promises(target, cat("change ", i, " of ", file.name), changed))
      return keep(changed);
  }
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Corpus, testing::ValuesIn(Target::all()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(Corpus, FoldersAreThoseOfTheTargets) {
  std::set<std::string> targets, folders;
  for (const auto* t : Target::all()) targets.insert(t->name);
  for (const auto& entry : fs::directory_iterator(corpus()))
    folders.insert(entry.path().filename());
  EXPECT_EQ(folders, targets);
}

}  // namespace
}  // namespace haze::fuzz
