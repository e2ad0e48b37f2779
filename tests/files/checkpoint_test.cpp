// SPDX-License-Identifier: MIT
// checkpoint_test.cpp — checkpoints on the real disk: what is saved is loaded, equal state is equal
// bytes, damage is found and passed over, old ones go, a folder has one owner.
#include <csignal>
#include <fstream>
#include <sys/resource.h>
#include <sys/wait.h>

#include "engine/files/xxh3.h"
#include "tests/support/files.h"

namespace haze::engine {
namespace {
using test::RunState;
using test::TemporaryFolder;
namespace fs = std::filesystem;

std::string bytes_of(const std::string& path) { return read_file(disk(), path, 1 << 24); }

void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(Xxh3, EqualsTheLibrary) {
  // Values of libxxhash 0.8.1's XXH3_128bits for bytes i*i + 7*i mod 256, one or two lengths for
  // each of its branches.
  const std::pair<std::size_t, const char*> known[] = {
      {0, "99aa06d3014798d86001c324468d497f"},    {1, "a6cd5e9392000f6ac44bdff4074eecdb"},
      {3, "381b806921e6d9abf4f33fa3678ce51e"},    {8, "6fff8d190f215342dde7ac32c0b383a6"},
      {16, "e8eca5a325c8ba3f089f18f7116edfa5"},   {17, "59344d0453359049efa082dbd1b5072b"},
      {128, "22bf3371acccf158db0b44936abce351"},  {129, "41617b5b2d01940d7b0fe814730f5835"},
      {240, "790028186011dfbdc75f5f217aeab9c9"},  {241, "644d48e8ee0bf9bb2d6873b128d3f478"},
      {1024, "ced521a2f0af24a2bf024c61b0a161a0"}, {1025, "a5e1b4a14b9a27d1ca831ffd572c9897"},
      {5000, "6d3e50c61d2afa7955db894092e2dc36"}};
  std::vector<unsigned char> bytes(5000);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<unsigned char>(i * i + 7 * i);
  for (const auto& [n, want] : known) EXPECT_EQ(xxh3_128(bytes.data(), n), want) << n;
}

TEST(Checkpoint, LoadsWhatWasSaved) {
  const TemporaryFolder run;
  const RunLock lock(disk(), run.path);
  CheckpointWriter writer(disk(), run.path);
  // 5 MB: more than one block of writing and of reading back.
  RunState state(12, 200'000);
  state.meta.classes = "T-shirt\nTrouser", state.meta.threads = 7;
  const SaveReport report = writer.save(state.meta, state.views());
  EXPECT_EQ(report.path, run / "checkpoints/step-00000012.safetensors");
  EXPECT_EQ(report.bytes, fs::file_size(report.path));
  EXPECT_THAT(report.messages, testing::IsEmpty());
  const auto loaded = load_newest_checkpoint(disk(), run.path);
  ASSERT_TRUE(loaded);
  EXPECT_TRUE(state.equals(*loaded));
  EXPECT_EQ(load_checkpoint(disk(), report.path, "ema.").tensors.size(), 2u);
  EXPECT_EQ(read_checkpoint_header(disk(), report.path).meta, state.meta);
  // Any reader of safetensors can use it.
  const SafetensorsReader plain(disk(), report.path);
  EXPECT_EQ(plain.read_f32(plain.at("model.conv.bias")), state.tensors[1].second);
}

TEST(Checkpoint, EqualStateIsEqualBytes) {
  const TemporaryFolder a, b;
  const RunLock lock_a(disk(), a.path), lock_b(disk(), b.path);
  const RunState state(3);
  auto views = state.views();
  const auto first = CheckpointWriter(disk(), a.path).save(state.meta, views);
  std::reverse(views.begin(), views.end());
  const auto second = CheckpointWriter(disk(), b.path).save(state.meta, views);
  EXPECT_EQ(bytes_of(first.path), bytes_of(second.path));
}

TEST(Checkpoint, EveryFlippedBitIsFoundAndNamed) {
  const TemporaryFolder run;
  const RunLock lock(disk(), run.path);
  CheckpointWriter writer(disk(), run.path);
  const RunState old(1), recent(2);
  writer.save(old.meta, old.views());
  const std::string path = writer.save(recent.meta, recent.views()).path;
  const std::string whole = bytes_of(path);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = char(damaged[at] ^ (1 << (at % 8)));
    overwrite(path, damaged);
    const auto loaded = load_newest_checkpoint(disk(), run.path);
    ASSERT_TRUE(loaded && old.equals(*loaded)) << "byte " << at;
    ASSERT_THAT(loaded->messages, testing::ElementsAre(testing::HasSubstr("step-00000002")));
  }
  overwrite(path, whole);
  EXPECT_TRUE(recent.equals(*load_newest_checkpoint(disk(), run.path)));
}

TEST(Checkpoint, NoneWholeIsAnErrorAndNoneAtAllIsNot) {
  const TemporaryFolder run;
  EXPECT_FALSE(load_newest_checkpoint(disk(), run.path));
  EXPECT_FALSE(load_newest_checkpoint(disk(), run / "absent"));
  const RunLock lock(disk(), run.path);
  const RunState state(5);
  const std::string path = CheckpointWriter(disk(), run.path).save(state.meta, state.views()).path;
  fs::copy(path, run / "checkpoints/step-00000006.safetensors");  // another step's file
  fs::create_symlink(path, run / "checkpoints/step-00000007.safetensors");
  fs::create_directory(run / "checkpoints/step-00000008.safetensors");
  fs::copy(path, run / "checkpoints/step-9.safetensors");  // no name of a checkpoint
  const auto loaded = load_newest_checkpoint(disk(), run.path);
  ASSERT_TRUE(loaded && state.equals(*loaded));
  EXPECT_THAT(loaded->messages, testing::ElementsAre(testing::HasSubstr("not a regular file"),
                                                     testing::HasSubstr("symbolic links"),
                                                     testing::HasSubstr("of step 5")));
  overwrite(path, bytes_of(path).substr(0, 100));
  test::expect_error<InputError>([&] { load_newest_checkpoint(disk(), run.path); },
                                 "none of its 4 checkpoints is whole");
}

TEST(Checkpoint, WhatTheCallerRefusesIsNotMendedByAnOlderOne) {
  const TemporaryFolder run;
  const RunLock lock(disk(), run.path);
  CheckpointWriter writer(disk(), run.path);
  for (const std::uint64_t step : {1, 2}) {
    const RunState state(step);
    writer.save(state.meta, state.views());
  }
  int asked = 0;
  const AcceptCheckpoint refuse = [&](const CheckpointHeader& header) {
    ++asked;
    throw InputError(
        cat("data set ", header.meta.dataset, " of ", header.tensors.size(), " tensors"));
  };
  test::expect_error<InputError>([&] { load_newest_checkpoint(disk(), run.path, "", refuse); },
                                 "data set set-1 of 8 tensors");
  EXPECT_EQ(asked, 1);
}

TEST(Checkpoint, NonFiniteStateIsNotSaved) {
  const TemporaryFolder run;
  const RunLock lock(disk(), run.path);
  CheckpointWriter writer(disk(), run.path);
  for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
    RunState state(1, 5000);
    state.tensors[4].second[29'999] = bad;
    test::expect_error<RunError>([&] { writer.save(state.meta, state.views()); },
                                 "adam_m.conv.weight holds");
  }
  EXPECT_TRUE(fs::is_empty(run / "checkpoints"));
}

std::vector<std::uint64_t> save_steps(const std::string& run, CheckpointWriter& writer,
                                      std::initializer_list<std::uint64_t> steps) {
  for (const auto step : steps) {
    const RunState state(step);
    writer.save(state.meta, state.views());
  }
  return list_checkpoints(disk(), run);
}
using Steps = std::vector<std::uint64_t>;

TEST(Checkpoint, OldOnesGoOnlyAfterNewerVerifiedOnes) {
  const TemporaryFolder a, b, c, d;
  CheckpointWriter three(disk(), a.path, {3, 4});
  const RunLock lock_a(disk(), a.path), lock_b(disk(), b.path), lock_c(disk(), c.path),
      lock_d(disk(), d.path);
  three.pin(3);
  EXPECT_EQ(save_steps(a.path, three, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}), (Steps{3, 4, 8, 9, 10}));
  CheckpointWriter one(disk(), b.path, {1});  // at least two are kept
  EXPECT_EQ(save_steps(b.path, one, {1, 2, 3}), (Steps{2, 3}));
  CheckpointWriter unverified(disk(), c.path, {1, 0, false});
  EXPECT_EQ(save_steps(c.path, unverified, {1, 2, 3, 4}), (Steps{1, 2, 3, 4}));
  // Files found at the start count for nothing until they were read.
  CheckpointWriter before(disk(), d.path, {2});
  save_steps(d.path, before, {1, 7, 9});
  overwrite(checkpoint_path(d.path, 9), "damaged");
  CheckpointWriter after(disk(), d.path, {2});
  EXPECT_EQ(save_steps(d.path, after, {8}), (Steps{7, 8, 9}));
  after.mark_verified(7);
  EXPECT_EQ(save_steps(d.path, after, {9}), (Steps{8, 9}));  // over the damaged one
  EXPECT_TRUE(RunState(9).equals(*load_newest_checkpoint(disk(), d.path)));
}

TEST(RunLock, OneOwnerWhoCleansUp) {
  const TemporaryFolder run;
  const std::string left = run / "checkpoints/.step-00000001.safetensors.tmp.123",
                    other = run / ".config.tmp.x";
  {
    const RunLock first(disk(), run / "deep/er");
    const RunLock second(disk(), run.path);
    overwrite(left, "left by a killed writer");
    overwrite(other, "somebody's");
    test::expect_error<InputError>([&] { RunLock(disk(), run.path); },
                                   cat("in use by process ", ::getpid(), "; stop"));
    EXPECT_TRUE(fs::exists(left));  // only the owner may remove
  }
  const RunLock again(disk(), run.path);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(other));
}

TEST(Checkpoint, FullDiskIsAnErrorThatLeavesNothing) {
  const TemporaryFolder run;
  const RunLock lock(disk(), run.path);
  CheckpointWriter writer(disk(), run.path);
  const RunState small(1), large(2, 100'000);
  writer.save(small.meta, small.views());
  // The kernel's own refusal, at a size between the two: EFBIG once SIGXFSZ is ignored.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limited{1 << 20, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limited), 0);
  test::expect_error<RunError>([&] { writer.save(large.meta, large.views()); }, "File too large");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(std::distance(fs::directory_iterator(run / "checkpoints"), {}), 1);
  EXPECT_TRUE(small.equals(*load_newest_checkpoint(disk(), run.path)));
  writer.save(large.meta, large.views());
  EXPECT_TRUE(large.equals(*load_newest_checkpoint(disk(), run.path)));
}

TEST(Checkpoint, KilledWriterLosesNothingItReported) {
  // Another process saves and reports each step on a pipe, until it is killed at a random moment.
  // This shows that the process may die anywhere; a power cut is checkpoint_crash_test's subject.
  const TemporaryFolder run;
  std::mt19937 random(1);
  std::uint64_t step = 1;
  for (int round = 0; round < 20; ++round) {
    int reported[2];
    ASSERT_EQ(::pipe(reported), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const RunLock lock(disk(), run.path);
      CheckpointWriter writer(disk(), run.path);
      for (std::uint64_t s = step;; ++s) {
        const RunState state(s, 500);
        writer.save(state.meta, state.views());
        if (::write(reported[1], &s, sizeof s) != sizeof s) ::_exit(1);
      }
    }
    ::close(reported[1]);
    std::uint64_t last = 0, next = 0;
    if (round % 2) {
      ASSERT_EQ(::read(reported[0], &last, sizeof last), ssize_t(sizeof last));
    }
    ::usleep(random() % 20'000);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(reported[0], &next, sizeof next) == sizeof next) last = next;
    ::close(reported[0]);
    const RunLock lock(disk(), run.path);
    for (const auto& entry : fs::directory_iterator(run / "checkpoints"))
      EXPECT_EQ(entry.path().filename().string().find(".tmp."), std::string::npos);
    const auto loaded = load_newest_checkpoint(disk(), run.path);
    if (last == 0 && !loaded) continue;
    ASSERT_TRUE(loaded);
    EXPECT_GE(loaded->meta.step, last);
    EXPECT_THAT(loaded->messages, testing::IsEmpty());
    EXPECT_TRUE(RunState(loaded->meta.step, 500).equals(*loaded));
    step = loaded->meta.step + 1;
  }
  EXPECT_GT(step, 10u);  // it did save something
}

}  // namespace
}  // namespace haze::engine
