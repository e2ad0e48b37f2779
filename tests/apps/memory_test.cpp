// SPDX-License-Identifier: MIT
// memory_test.cpp — how much memory there is, and small inputs that ask for much.
#include "apps/memory.h"

#include "apps/checkpointing.h"
#include "apps/config/find.h"
#include "apps/data/dataset.h"
#include "apps/image/jpeg.h"
#include "apps/image/png.h"
#include "engine/files/safetensors.h"
#include "tests/apps/tiny_run.h"
#include "tests/support/data_files.h"
#include "tests/support/jpeg_file.h"
#include "tests/support/pictures.h"

namespace haze::test {
namespace {

using apps::free_memory;
using testing::HasSubstr;
constexpr std::uint64_t kGib = std::uint64_t{1} << 30;

/// A machine of 8 GiB available, whose files lie below a folder.
struct Machine : DataFolder {
  Machine() { write("proc/meminfo", "MemTotal: 99999999 kB\nMemAvailable:    8388608 kB\n"); }
  void group(const std::string& rows) const { write("proc/self/cgroup", rows); }
};

TEST(FreeMemory, IsWhatTheSystemSaysIsAvailable) {
  const Machine machine;
  EXPECT_EQ(free_memory(machine.path).bytes, 8 * kGib);
  EXPECT_EQ(free_memory(machine / "nowhere").bytes, UINT64_MAX);
  EXPECT_GT(free_memory().bytes, std::uint64_t{1} << 20);
}

TEST(FreeMemory, IsBoundedByEveryLevelOfItsControlGroup) {
  const Machine machine;
  machine.group("0::/jobs/mine\n");
  machine.write("sys/fs/cgroup/jobs/mine/memory.max", "max\n");
  machine.write("sys/fs/cgroup/jobs/mine/memory.current", "1000\n");
  EXPECT_EQ(free_memory(machine.path).bytes, 8 * kGib);
  machine.write("sys/fs/cgroup/jobs/memory.max", "3221225472\n");  // 3 GiB, of which 1 GiB is used
  machine.write("sys/fs/cgroup/jobs/memory.current", "1073741824\n");
  EXPECT_EQ(free_memory(machine.path).bytes, 2 * kGib);
  machine.write("sys/fs/cgroup/jobs/memory.stat", "anon 5\ninactive_file 536870912\nslab 7\n");
  EXPECT_EQ(free_memory(machine.path).bytes, 5 * kGib / 2);
  machine.write("sys/fs/cgroup/jobs/mine/memory.max", "900\n");  // below what is used
  EXPECT_EQ(free_memory(machine.path).bytes, 0u);
  EXPECT_EQ(free_memory(machine.path).where, "of this control group's memory");
}

TEST(FreeMemory, KnowsControlGroupsOfVersion1) {
  const Machine machine;
  machine.group("7:cpu:/other\n5:memory:/box\n");
  machine.write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "2147483648\n");
  machine.write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "1073741824\n");
  EXPECT_EQ(free_memory(machine.path).bytes, kGib);
}

TEST(FreeMemory, IsSaidInThreeDigits) {
  EXPECT_EQ(apps::byte_text(900), "900 bytes");
  EXPECT_EQ(apps::byte_text(std::uint64_t{5} << 19), "2.50 MiB");
  EXPECT_EQ(apps::byte_text(std::uint64_t{17} << 20), "17 MiB");
  EXPECT_EQ(apps::byte_text(7 * kGib + kGib / 2), "7.50 GiB");
}

// ---- small inputs -------------------------------------------------------------------------------

/// Runs the program with so much address space.
Outcome within(std::uint64_t bytes, const std::vector<std::string>& arguments) {
  return haze(arguments, [bytes] {
    const rlimit most{bytes, bytes};
    setrlimit(RLIMIT_AS, &most);
  });
}

/// A checkpoint or classifier whose few tensors are of no size, under metadata that promise much.
void write_small_file(const std::string& path, const engine::SafetensorsMetadata& metadata) {
  const float nothing = 0;
  engine::write_safetensors(engine::disk(), path, {{"hidden.bias", {1}, &nothing}}, metadata);
}

/// Every tensor that the network wants.
model::StateDict all_zero(const engine::Parameters& parameters) {
  model::StateDict state;
  for (const engine::Parameter& p : parameters.all())
    state[p.name] = {model::pytorch_shape(p), std::vector<float>(p.size())};
  return state;
}

TEST(Promises, AClassifierOfFewBytesIsRefusedByItsHeader) {
  const DataFolder folder;
  const std::string path = folder / "c.safetensors";
  write_small_file(path, {{"haze", "haze-classifier/1"},
                          {"height", "4"},
                          {"width", "16384"},
                          {"channels", "64"},
                          {"classes", "10"},
                          {"epochs", "1"},
                          {"seed", "0"},
                          {"accuracy", "0.5"}});
  const Outcome got = within(kGib, {"eval", "--samples", "synthetic:digits:10", "--data",
                                    "synthetic:digits:10", "--features", "classifier:" + path});
  EXPECT_EQ(got.code, 2) << got.err;
  EXPECT_THAT(got.err, HasSubstr("hidden.weight [128,4194304]"));
}

TEST(Promises, PicturesAreRefusedByTheirSizeBeforeTheyAreDecoded) {
  Bytes png = apps::encode_png(picture(40, 30, 3)),
        jpeg = jpeg_file(Bytes(40 * 30 * 3, 9), 40, 30, 3);
  // Damaged behind the header, at which a decoder that looks there would stop.
  png[png.size() / 2] ^= 0xFF, jpeg.resize(jpeg.size() - 30);
  const auto refuse = [](int height, int width) { throw InputError(cat(height, " by ", width)); };
  expect_refused([&] { apps::decode_image(png, "a", refuse); }, "40 by 30");
  expect_refused([&] { apps::decode_image(jpeg, "a", refuse); }, "40 by 30");
  expect_refused([&] { apps::decode_image(png, "a"); }, "a: PNG");
  expect_refused([&] { apps::decode_image(jpeg, "a"); }, "a: JPEG");
  const DataFolder folder;
  folder.write("0.png", apps::encode_png(picture(8, 8, 3)));
  for (const auto& [name, bytes] : {std::pair{"1.png", png}, std::pair{"1.jpg", jpeg}}) {
    folder.write(name, bytes);
    expect_refused([&] { apps::open_dataset("images:" + folder.path); },
                   "40x30 pixels (height x width), the images before have 8x8");
    expect_refused([&] { apps::open_dataset("images:" + folder.path, {.height = 99}); },
                   "8x8 pixels (height x width); at least 99x99");
    std::filesystem::remove(folder / name);
  }
}

TEST(Promises, AFolderIsCountedBeforeItIsDecoded) {
  const DataFolder folder;
  const apps::Image large{4096, 4096, 1, Bytes(std::size_t{1} << 24)};
  folder.write("0.png", apps::encode_png(large));  // 16 kB, and 48 MiB as colours
  for (int i = 1; i < 40; ++i) fs::copy(folder / "0.png", folder / cat(i, ".png"));
  const Outcome got = within(kGib, {"data", "images:" + folder.path});
  EXPECT_EQ(got.code, 2) << got.err;
  EXPECT_THAT(got.err, HasSubstr("40 images of 4096x4096x3: needs 1.88 GiB"));
  EXPECT_THAT(got.err, HasSubstr("within ulimit -v are free"));
  EXPECT_EQ(lines(got.err).size(), 1u) << got.err;
}

TEST(Promises, ADrawnSetIsCountedBeforeItIsMadeLarger) {
  const Outcome got =
      within(kGib, {"data", "synthetic:shapes:1000", "--size", "1024x1024", "--channels", "3"});
  EXPECT_EQ(got.code, 2) << got.err;
  EXPECT_THAT(got.err, HasSubstr("1000 images of 1024x1024x3: needs 2.93 GiB"));
}

TEST(Promises, ATextTakesNoMoreThanItHas) {
  const DataFolder folder;
  const std::string path = folder.write("small.json", std::string(200, 'x'));
  const std::string text = apps::read_text(path, std::size_t{64} << 20);
  EXPECT_EQ(text, std::string(200, 'x'));
  EXPECT_LT(text.capacity(), std::size_t{1} << 16);
  const std::string large(100000, 'y');  // several blocks
  folder.write("large.json", large);
  EXPECT_EQ(apps::read_text(folder / "large.json", large.size()), large);
  expect_refused([&] { apps::read_text(folder / "large.json", large.size() - 1); },
                 "at most 99999 are allowed");
}

TEST(Promises, DeepDocumentsAreRefusedAtTheirBeginning) {
  const DataFolder folder;
  const std::string path = folder.write("deep.json", std::string(1 << 20, '['));
  const Outcome got = haze({"bench", "compare", path, path});
  EXPECT_EQ(got.code, 2);
  EXPECT_THAT(got.err, HasSubstr("nested deeper than 8"));
}

TEST(Promises, ShapesToBenchmarkAreCheckedForEveryKernel) {
  for (const char* shape : {"n=65536,h=65536,c=65536,co=65536", "n=1,h=1,c=65536,co=65536",
                            "n=2147483647", "h=65536,c=1"}) {
    const Outcome got = haze({"bench", "kernels", "--shape", shape});
    EXPECT_EQ(got.code, 2) << shape << got.err;
    EXPECT_THAT(got.err, HasSubstr("must be below 2^31"));
    EXPECT_EQ(lines(got.err).size(), 1u) << got.err;
    EXPECT_EQ(got.out, "");
  }
  const Outcome twice = haze({"bench", "kernels", "--shape", "c=64,c=3"});
  EXPECT_EQ(twice.code, 2);
  EXPECT_THAT(twice.err, HasSubstr("c=64,c=3; c is given twice"));
}

TEST(Promises, ACheckpointIsComparedBeforeTheNetworkIsAllocated) {
  const apps::RunConfig config = apps::resolve(apps::load_config("demo"));
  const auto network = model::make_network(config.model);
  engine::Checkpoint empty;
  empty.path = "few.safetensors";
  for (const char* part : {"model.*", "ema.*"}) {
    try {
      apps::restore_state(empty, network->parameters(), CpuStream{}, config);
      ADD_FAILURE() << "restored from nothing";
    } catch (const InputError& e) {
      EXPECT_THAT(e.what(),
                  HasSubstr(cat("few.safetensors: ", part, ": weights: they do not fit")));
    }
    EXPECT_FALSE(network->parameters().weights);
    for (auto& [name, t] : all_zero(network->parameters()))
      empty.tensors.push_back({"model." + name, t.shape, t.values});
  }
}

// ---- what a run needs ---------------------------------------------------------------------------

class Needs : public TinyRun {};

TEST_F(Needs, AreSaidByADryRunAndHeldAgainstWhatThereIs) {
  const Outcome plan = train("run", 2, {"--dry-run"});
  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_THAT(plan.err, HasSubstr("memory: weights "));
  EXPECT_THAT(plan.err, HasSubstr("are free"));
  const std::vector<std::string> large = {"--set", "train.batch_size=65536", "--set",
                                          "data.image_size=[28,28]"};
  auto within_a_gib = [&](std::vector<std::string> more) {
    more.insert(more.end(), large.begin(), large.end());
    return within(kGib, arguments("run", 2, more));
  };
  for (const auto& got : {within_a_gib({"--dry-run"}), within_a_gib({})}) {
    EXPECT_EQ(got.code, 2) << got.err;
    EXPECT_THAT(got.err, HasSubstr("train.batch_size: 65536; "));
    EXPECT_THAT(got.err, testing::ContainsRegex("about [0-9]+ fit; raise train.accumulate"));
    EXPECT_FALSE(fs::exists(at("run")));
  }
  // The batch that is said to fit does.
  const std::string err = within_a_gib({}).err;
  const std::size_t number = err.find("about ") + 6;
  const std::string fits = err.substr(number, err.find(' ', number) - number);
  const Outcome trained = within(
      kGib, arguments("run", 1,
                      {"--set", "train.batch_size=" + fits, "--set", "data.image_size=[28,28]"}));
  EXPECT_EQ(trained.code, 0) << fits << ": " << trained.err;
}

TEST_F(Needs, OfSamplesAreKnownBeforeTheyAreDrawn) {
  ASSERT_EQ(train("run", 1, {"--set", "data.image_size=[28,28]"}).code, 0);
  const std::vector<std::string> draw = {"--checkpoint", at("run"), "--steps", "2"};
  const auto drawing = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), draw.begin(), draw.end());
    return within(kGib, arguments);
  };
  const Outcome many =
      drawing({"sample", "--n", "20000", "--batch", "20000", "--out", at("g.png")});
  EXPECT_EQ(many.code, 2) << many.err;
  EXPECT_THAT(many.err, testing::ContainsRegex("--n: 20000 images of 28x28x1; drawing them needs "
                                               ".*; --batch [0-9]+ fits"));
  const Outcome said = drawing({"sample", "-v", "--n", "2", "--out", at("g.png")});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("beside the weights"));
  const Outcome eval =
      drawing({"eval", "--n", "20000", "--batch", "20000", "--data", "synthetic:digits:10"});
  EXPECT_EQ(eval.code, 2) << eval.err;
  EXPECT_THAT(eval.err, HasSubstr("drawing them needs"));
}

class LittleMemory : public TinyRun {};

/// Whatever address space there is, the program ends by itself: it has as much as it needs, or says
/// in a line that it has not.
TEST_F(LittleMemory, EndsInOneLine) {
  int trained = 0, refused = 0;
  for (std::uint64_t mib = 100; mib <= 400; mib += 12) {
    const Outcome got = within(mib << 20, arguments(cat("run", mib), 1));
    if (got.code == 127) continue;  // not even its libraries fit
    trained += got.code == 0;
    refused += got.code == 1 || got.code == 2;
    EXPECT_TRUE(got.code >= 0 && got.code <= 2) << mib << " MiB: " << got.code << ' ' << got.err;
    EXPECT_THAT(got.err, testing::Not(HasSubstr("bug in haze"))) << mib;
    if (got.code != 0) {
      EXPECT_THAT(got.last_error_line(),
                  testing::AnyOf(HasSubstr("memory"), HasSubstr("within ulimit -v are free")))
          << mib;
    }
  }
  EXPECT_GT(trained, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace haze::test
