// SPDX-License-Identifier: MIT
// checkpoint_fault_test.cpp — any single operation of the writer fails, with every error a disk or
// a network file system gives. What was reported as saved loads afterwards; nothing is left behind.
#include "tests/support/files.h"
#include "tests/support/memory_file_system.h"

namespace haze::engine {
namespace {
using test::Fault;
using test::MemoryFileSystem;
using test::RunState;

constexpr const char* kRun = "/runs/a";
constexpr int kErrors[] = {EIO, ENOSPC, EDQUOT, EINTR, EROFS, ESTALE};

bool save(CheckpointWriter& writer, std::uint64_t step) {
  const RunState state(step);
  try {
    writer.save(state.meta, state.views());
    return true;
  } catch (const RunError&) {
    return false;
  }
}

void expect_whole(MemoryFileSystem& fs, std::uint64_t at_least, const std::string& label) {
  const auto loaded = load_newest_checkpoint(fs, kRun);
  ASSERT_TRUE(loaded) << label;
  EXPECT_GE(loaded->meta.step, at_least) << label;
  EXPECT_THAT(loaded->messages, testing::IsEmpty()) << label;  // nothing torn lies about either
  EXPECT_TRUE(RunState(loaded->meta.step).equals(*loaded)) << label;
}

std::vector<std::string> temporaries(const MemoryFileSystem& fs) {
  std::vector<std::string> found;
  for (const auto& [path, inode] : fs.names)
    if (path.find(".tmp.") != path.npos) found.push_back(path);
  return found;
}

struct Started {
  MemoryFileSystem fs;
  std::optional<RunLock> lock;
  std::optional<CheckpointWriter> writer;
  Started() {
    lock.emplace(fs, kRun);
    writer.emplace(fs, kRun, CheckpointOptions{2});
    for (const std::uint64_t step : {1, 2}) save(*writer, step);
    fs.calls = 0;
  }
};

TEST(CheckpointFault, AnyOperationFailing) {
  Started counted;
  ASSERT_TRUE(save(*counted.writer, 3));
  const std::size_t calls = counted.fs.calls;
  ASSERT_GT(calls, 20u);
  for (const int error : kErrors)
    for (std::size_t k = 0; k < calls; ++k) {
      Started run;
      std::string failed;
      run.fs.fault = [&](const std::string& call, std::size_t number, const std::string&) {
        if (number == k) failed = call;
        return Fault{.error = number == k ? error : 0};
      };
      const bool saved = save(*run.writer, 3);
      const std::string label = cat(std::strerror(error), " in ", failed, ", operation ", k);
      run.fs.fault = {};
      expect_whole(run.fs, saved ? 3 : 2, label);
      // A signal is no failure; a directory that could not be made durable is one.
      EXPECT_TRUE(saved || error != EINTR || failed == "fsync_dir") << label;
      // Only its own removal failing leaves the temporary file, until the next start.
      EXPECT_TRUE(failed == "unlink" || temporaries(run.fs).empty()) << label;
      EXPECT_TRUE(save(*run.writer, 4)) << label;  // the writer is none the worse
      expect_whole(run.fs, 4, label);
      run.lock.reset();
      const RunLock next(run.fs, kRun);
      EXPECT_THAT(temporaries(run.fs), testing::IsEmpty()) << label;
      EXPECT_EQ(run.fs.open_files(), 1u) << label;  // the lock's
    }
}

TEST(CheckpointFault, EverythingFailingFromAnyOperationOn) {
  // The disk goes away and does not come back, so that cleaning up fails too.
  for (const int error : {EIO, ENOSPC, EROFS, ESTALE})
    for (std::size_t k = 0; k < 40; ++k) {
      Started run;
      run.fs.fault = [&](const std::string&, std::size_t number, const std::string&) {
        return Fault{.error = number >= k ? error : 0};
      };
      const bool saved = save(*run.writer, 3);
      run.fs.fault = {};
      run.lock.reset();
      const RunLock next(run.fs, kRun);
      const std::string label = cat(std::strerror(error), " from operation ", k);
      EXPECT_THAT(temporaries(run.fs), testing::IsEmpty()) << label;
      expect_whole(run.fs, saved ? 3 : 2, label);
    }
}

TEST(CheckpointFault, AnyOperationOfTheStartFailing) {
  for (const int error : kErrors)
    for (std::size_t k = 0; k < 20; ++k) {
      Started run;
      run.fs.add(cat(kRun, "/checkpoints/.step-00000009.safetensors.tmp.1"), "left");
      run.lock.reset();
      run.fs.calls = 0;
      run.fs.fault = [&](const std::string&, std::size_t number, const std::string&) {
        return Fault{.error = number == k ? error : 0};
      };
      try {
        const RunLock start(run.fs, kRun);
      } catch (const RunError&) {
      }
      run.fs.fault = {};
      const RunLock start(run.fs, kRun);  // and the one after it succeeds
      EXPECT_THAT(temporaries(run.fs), testing::IsEmpty());
      expect_whole(run.fs, 2, cat(std::strerror(error), " in operation ", k));
    }
}

TEST(CheckpointFault, ShortWritesAndReads) {
  Started run;
  run.fs.fault = [](auto&, auto, auto&) { return Fault{.at_most = 13}; };
  EXPECT_TRUE(save(*run.writer, 3));
  expect_whole(run.fs, 3, "13 bytes at a time");
  Started stuck;
  stuck.fs.fault = [](const std::string& call, auto, auto&) {
    return Fault{.at_most = call == "pwrite" ? std::size_t(0) : SIZE_MAX};
  };
  EXPECT_FALSE(save(*stuck.writer, 3));  // no endless loop
  stuck.fs.fault = {};
  expect_whole(stuck.fs, 2, "0 bytes at a time");
}

TEST(CheckpointFault, FullDiskShowsBeforeAnythingIsWritten) {
  for (const bool can_allocate : {true, false}) {
    Started run;
    run.fs.can_allocate = can_allocate;
    run.fs.capacity = run.fs.used() + 1000;
    std::size_t writes = 0;
    run.fs.fault = [&](const std::string& call, auto, auto&) {
      writes += call == "pwrite";
      return Fault{};
    };
    EXPECT_FALSE(save(*run.writer, 3));
    EXPECT_TRUE(writes == 0 || !can_allocate);
    expect_whole(run.fs, 2, "full disk");
    EXPECT_THAT(temporaries(run.fs), testing::IsEmpty());
    run.fs.capacity = UINT64_MAX;
    EXPECT_TRUE(save(*run.writer, 3));
    expect_whole(run.fs, 3, "room again");
  }
}

/// A disk with `kept` verified checkpoints, of one size, and 1000 bytes of room.
struct NearlyFull {
  MemoryFileSystem fs;
  std::optional<RunLock> lock;
  std::optional<CheckpointWriter> writer;
  explicit NearlyFull(CheckpointOptions options) {
    lock.emplace(fs, kRun);
    writer.emplace(fs, kRun, options);
    for (int step = 1; step <= std::max(options.keep, 2); ++step)
      EXPECT_TRUE(save(*writer, std::uint64_t(step)));
    fs.capacity = fs.used() + 1000;
  }
  std::vector<std::uint64_t> steps() { return list_checkpoints(fs, kRun); }
};

TEST(CheckpointFault, AFullDiskMakesRoomFromWhatWouldGoAnyway) {
  for (const bool can_allocate : {true, false}) {
    NearlyFull run({.keep = 3});
    run.fs.can_allocate = can_allocate;
    const RunState state(4);
    const SaveReport report = run.writer->save(state.meta, state.views());
    EXPECT_THAT(report.messages, testing::Contains(testing::HasSubstr("to make room")));
    EXPECT_THAT(run.steps(), testing::ElementsAre(2, 3, 4));
    expect_whole(run.fs, 4, "made room");
    EXPECT_THAT(temporaries(run.fs), testing::IsEmpty());
  }
}

TEST(CheckpointFault, RoomThatIsMissedOnlyAtTheEndOfAFileIsMadeToo) {
  for (const std::string late : {"fsync", "close"})
    for (const int error : {ENOSPC, EDQUOT}) {
      NearlyFull run({.keep = 3});
      run.fs.capacity = UINT64_MAX;
      run.fs.fault = [&](const std::string& call, auto, const std::string& path) {
        const bool full = run.fs.exists(checkpoint_path(kRun, 1));
        const bool here = call == late && path.find(".tmp.") != path.npos;
        return Fault{.error = here && full ? error : 0};
      };
      const RunState state(4);
      run.writer->save(state.meta, state.views());
      run.fs.fault = {};
      EXPECT_THAT(run.steps(), testing::ElementsAre(2, 3, 4));
      expect_whole(run.fs, 4, late);
    }
}

TEST(CheckpointFault, RoomIsMadeOneAtATimeAndTwoVerifiedRemain) {
  NearlyFull run({.keep = 5});
  run.fs.capacity = 1;  // no room helps
  CheckpointWriter writer(run.fs, kRun, {.keep = 2});
  for (const std::uint64_t step : {3, 4, 5}) writer.mark_verified(step);
  const RunState state(6);
  test::expect_error<DiskFullError>([&] { writer.save(state.meta, state.views()); }, "6");
  EXPECT_THAT(run.steps(), testing::ElementsAre(4, 5));
  run.fs.capacity = UINT64_MAX;
  expect_whole(run.fs, 5, "two remain");

  NearlyFull enough({.keep = 5});
  CheckpointWriter one(enough.fs, kRun, {.keep = 2});
  for (const std::uint64_t step : {3, 4, 5}) one.mark_verified(step);
  enough.fs.fault = [&](const std::string& call, auto, auto&) {
    // After the first removal there is room, and nothing more goes before the new one is named.
    if (call == "rename") {
      EXPECT_THAT(enough.steps(), testing::ElementsAre(2, 3, 4, 5));
    }
    return Fault{};
  };
  one.save(state.meta, state.views());
  expect_whole(enough.fs, 6, "one was enough");
}

TEST(CheckpointFault, NoRoomIsMadeFromWhatMustStay) {
  const RunState state(7);
  const auto refuses = [&](NearlyFull& run, CheckpointWriter& writer, const std::string& label) {
    const auto before = run.steps();
    test::expect_error<DiskFullError>([&] { writer.save(state.meta, state.views()); },
                                      "No space left", label);
    EXPECT_EQ(run.steps(), before) << label;
  };
  NearlyFull two({.keep = 2});
  refuses(two, *two.writer, "two of two");
  NearlyFull unverified({.keep = 3});
  CheckpointWriter fresh(unverified.fs, kRun, {.keep = 3});
  refuses(unverified, fresh, "nothing is known of the newer ones");
  NearlyFull pinned({.keep = 3});
  pinned.writer->pin(1);
  refuses(pinned, *pinned.writer, "pinned");
  NearlyFull multiple({.keep = 3, .keep_every = 1});
  refuses(multiple, *multiple.writer, "kept for ever");
  NearlyFull trusting({.keep = 3});
  CheckpointWriter blind(trusting.fs, kRun, {.keep = 3, .verify = false});
  for (const std::uint64_t step : {1, 2, 3}) blind.mark_verified(step);
  refuses(trusting, blind, "without verification nothing is ever removed");
}

TEST(CheckpointFault, AFailedFsyncIsNeverRepeated) {
  Started run;
  std::vector<std::string> calls;
  run.fs.fault = [&](const std::string& call, auto, const std::string& path) {
    const bool first = call == "fsync" && std::count(calls.begin(), calls.end(), "fsync") == 0;
    if (path.find(".tmp.") != path.npos && (call == "fsync" || call == "open" || call == "unlink"))
      calls.push_back(call);
    return Fault{.error = first ? EIO : 0};
  };
  const RunState state(3);
  const SaveReport report = run.writer->save(state.meta, state.views());
  EXPECT_THAT(report.messages, testing::Contains(testing::HasSubstr("written again")));
  // The file whose fsync failed goes; a new one is written from memory, synced and read back.
  EXPECT_THAT(calls, testing::ElementsAre("open", "fsync", "unlink", "open", "fsync", "open"));
}

}  // namespace
}  // namespace haze::engine
