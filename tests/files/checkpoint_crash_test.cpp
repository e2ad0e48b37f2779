// SPDX-License-Identifier: MIT
// checkpoint_crash_test.cpp — a power cut anywhere: the real writer's operations are recorded,
// every state they may leave on a disk is built, and the real loader must find what was reported as
// saved. Then the same with one step of the protocol taken out: each must show as a loss.
//
// Seen by a power cut: fsync of the data (6), fsync of the directory (10), naming only a finished
// file (9), and that the close's error counts (7). Seen when, besides, one file goes bad: keeping
// more than the newest (12). The remaining steps do not change what a power cut leaves; what they
// are for is shown on its own: reserving first (3), the header last (5), reading back (8).
#include "tests/support/crash_states.h"
#include "tests/support/files.h"

namespace haze::engine {
namespace {
using test::CrashStates;
using test::FileOperation;
using test::MemoryFileSystem;
using test::Names;
using test::RunState;
using Log = std::vector<FileOperation>;

constexpr const char* kRun = "/runs/a";
constexpr std::uint64_t kSaves = 5;

/// One tensor, so that a file has few writes and all combinations of them can be tried.
RunState small_state(std::uint64_t step) {
  RunState state(step);
  state.tensors.resize(1);
  state.shapes.resize(1);
  return state;
}

void save(MemoryFileSystem& fs, CheckpointWriter& writer, std::uint64_t step) {
  const RunState state = small_state(step);
  writer.save(state.meta, state.views());
  fs.log.push_back({.kind = FileOperation::saved, .offset = step});
}

Log record(const CheckpointOptions& options = {2},
           const decltype(MemoryFileSystem::fault)& fault = {}) {
  MemoryFileSystem fs;
  const RunLock lock(fs, kRun);
  CheckpointWriter writer(fs, kRun, options);
  fs.fault = fault;
  for (std::uint64_t step = 1; step <= kSaves; ++step) save(fs, writer, step);
  return fs.log;
}

struct Verdict {
  int ok = 0, lost_all = 0, stuck = 0, garbage = 0, saved_lost = 0;
  int bad() const { return lost_all + stuck + garbage + saved_lost; }
};
std::ostream& operator<<(std::ostream& to, const Verdict& v) {
  return to << "ok " << v.ok << ", lost all " << v.lost_all << ", stuck " << v.stuck
            << ", silent garbage " << v.garbage << ", saved one lost " << v.saved_lost;
}

/// The next start on this disk: lock, load, and go on saving.
void judge(MemoryFileSystem& disk, std::uint64_t saved, Verdict& verdict) {
  std::optional<Checkpoint> loaded;
  try {
    const RunLock lock(disk, kRun);
    for (const auto& [path, inode] : disk.names)
      EXPECT_EQ(path.find(".tmp."), std::string::npos) << path;
    loaded = load_newest_checkpoint(disk, kRun);
    if (loaded) {
      CheckpointWriter writer(disk, kRun);
      save(disk, writer, loaded->meta.step + 1);
      const auto next = load_newest_checkpoint(disk, kRun);
      if (!next || !small_state(loaded->meta.step + 1).equals(*next)) return void(++verdict.stuck);
    }
  } catch (const std::exception&) {
    return void(++(saved > 0 ? verdict.lost_all : verdict.stuck));
  }
  if (!loaded)
    ++(saved > 0 ? verdict.lost_all : verdict.ok);
  else if (!small_state(loaded->meta.step).equals(*loaded))
    ++verdict.garbage;
  else
    ++(loaded->meta.step < saved ? verdict.saved_lost : verdict.ok);
}

Verdict judge_all(const Log& log, Names order) {
  Verdict verdict;
  CrashStates::visit(log, order, [&](MemoryFileSystem& disk, std::uint64_t saved) {
    judge(disk, saved, verdict);
    return verdict.bad() < 50;  // enough to tell; without its fsyncs the states are too many
  });
  return verdict;
}

bool in_checkpoints(const FileOperation& op) {
  return op.path.find("/checkpoints") != std::string::npos;
}

TEST(CheckpointCrash, EveryStateOfThePowerCutLoads) {
  for (const bool can_allocate : {true, false}) {
    const auto no_allocate = [&](const std::string& call, std::size_t, const std::string&) {
      return test::Fault{.error = call == "allocate" && !can_allocate ? EOPNOTSUPP : 0};
    };
    const Log log = record({2}, no_allocate);
    for (const Names order : {Names::ordered, Names::weak}) {
      const Verdict verdict = judge_all(log, order);
      EXPECT_EQ(verdict.bad(), 0) << verdict;
      EXPECT_GT(verdict.ok, 80) << verdict;
    }
  }
}

TEST(CheckpointCrash, OneBadFileBesidesIsSurvived) {
  // Two saved: whichever one file is damaged, at most the newest step is lost.
  CrashStates::visit(record(), Names::weak, [&](MemoryFileSystem& disk, std::uint64_t saved) {
    const auto steps = list_checkpoints(disk, kRun);
    if (saved < 2) return true;
    for (const auto step : steps) {
      MemoryFileSystem damaged = disk;
      auto& bytes = damaged.nodes[damaged.names[checkpoint_path(kRun, step)]].bytes;
      bytes[bytes.size() / 2] = char(bytes[bytes.size() / 2] ^ 16);
      const auto loaded = load_newest_checkpoint(damaged, kRun);
      EXPECT_TRUE(loaded && loaded->meta.step + 1 >= saved);
      EXPECT_TRUE(loaded && small_state(loaded->meta.step).equals(*loaded));
    }
    return !testing::Test::HasFailure();
  });
}

// ---- the protocol with a step taken out
// ----------------------------------------------------------

Log without(const Log& log, const std::function<bool(const FileOperation&)>& drop) {
  Log kept;
  std::remove_copy_if(log.begin(), log.end(), std::back_inserter(kept), drop);
  return kept;
}

void expect_loss(const Log& mutant, const char* label) {
  const Verdict ordered = judge_all(mutant, Names::ordered), weak = judge_all(mutant, Names::weak);
  EXPECT_GT(ordered.bad(), 0) << label << ", ordered names: " << ordered;
  EXPECT_GT(weak.bad(), 0) << label << ", weak names: " << weak;
}

TEST(CheckpointCrash, WithoutFsyncOfTheDataItIsLost) {
  expect_loss(without(record(), [](const auto& op) { return op.kind == FileOperation::fsync; }),
              "no fsync");
}

TEST(CheckpointCrash, WithoutFsyncOfTheDirectoryItIsLost) {
  const auto drop = [](const auto& op) {
    return op.kind == FileOperation::fsync_dir && in_checkpoints(op);
  };
  expect_loss(without(record(), drop), "no fsync of the directory");
}

TEST(CheckpointCrash, WithoutFsyncOfANewRunFolderItIsLost) {
  const auto drop = [](const auto& op) {
    return op.kind == FileOperation::fsync_dir && !in_checkpoints(op);
  };
  expect_loss(without(record(), drop), "no fsync of the run folder");
}

TEST(CheckpointCrash, NamedBeforeItIsFinishedItIsInTheWay) {
  // The rename right after the creation: a torn file under a checkpoint's name, with nothing older.
  Log mutant;
  Log log = record();
  for (std::size_t i = 0; i < log.size(); ++i) {
    if (log[i].kind == FileOperation::rename) continue;
    mutant.push_back(log[i]);
    if (log[i].kind != FileOperation::create || !in_checkpoints(log[i])) continue;
    mutant.push_back(*std::find_if(log.begin() + std::ptrdiff_t(i), log.end(), [](const auto& op) {
      return op.kind == FileOperation::rename;
    }));
  }
  expect_loss(mutant, "named first");
}

TEST(CheckpointCrash, ErrorOfCloseCounts) {
  // A server that says at close that it could not keep the third file, though reads still see it.
  int closes = 0;
  const auto losing = [&](int error) {
    closes = 0;
    return [&closes, error](const std::string& call, std::size_t, const std::string& path) {
      const bool hit = call == "close" && path.find("00003.") != path.npos && ++closes == 1;
      return test::Fault{.error = hit ? error : 0, .lost = hit};
    };
  };
  const Verdict heard = judge_all(record({2}, losing(EDQUOT)), Names::weak);
  EXPECT_EQ(heard.bad(), 0) << heard;  // written again, to a new file
  expect_loss(record({2}, losing(0)), "close that hides its error");
}

TEST(CheckpointCrash, ReadingBackFindsAWriteThatLied) {
  const auto lying = [](const std::string& call, std::size_t, const std::string& path) {
    return test::Fault{.flip = call == "pwrite" && path.find("00003.") != path.npos};
  };
  const auto once = [hit = false](const std::string& call, std::size_t,
                                  const std::string& path) mutable {
    const bool first = !hit && call == "pwrite" && path.find("00003.") != path.npos;
    hit |= first;
    return test::Fault{.flip = first};
  };
  EXPECT_THROW(record({2}, lying), RunError);  // every time: never reported as saved
  const Verdict verdict = judge_all(record({2}, once), Names::weak);
  EXPECT_EQ(verdict.bad(), 0) << verdict;
  expect_loss(record({2, 0, false}, lying), "without reading back");
}

TEST(CheckpointCrash, KeepingOnlyTheNewestIsNotEnough) {
  // The mutant removes every older file as soon as a newer one is saved. A power cut alone does not
  // show it; one bad file does.
  Log mutant;
  std::map<std::uint64_t, bool> gone;
  for (const auto& op :
       without(record(), [](const auto& o) { return o.kind == FileOperation::unlink; })) {
    mutant.push_back(op);
    if (op.kind == FileOperation::saved && op.offset > 1)
      mutant.push_back({FileOperation::unlink, checkpoint_path(kRun, op.offset - 1)});
  }
  const Verdict plain = judge_all(mutant, Names::ordered);
  EXPECT_EQ(plain.bad(), 0) << plain;
  int lost = 0;
  CrashStates::visit(mutant, Names::ordered, [&](MemoryFileSystem& disk, std::uint64_t saved) {
    const auto steps = list_checkpoints(disk, kRun);
    if (saved < 2 || steps.empty()) return true;
    disk.nodes[disk.names[checkpoint_path(kRun, steps.back())]].bytes[100] ^= 1;
    try {
      load_newest_checkpoint(disk, kRun);
    } catch (const InputError&) {
      ++lost;
    }
    return true;
  });
  EXPECT_GT(lost, 0);
}

TEST(CheckpointCrash, KilledBeforeTheHeaderItIsNoCheckpointToAnyone) {
  // Not a power cut: the writer dies and the disk has all it wrote, in order. Whatever tool opens
  // the temporary file must see that it is not whole, until it is.
  const auto whole_too_early = [](const Log& log) {
    MemoryFileSystem disk;
    int early = 0;
    for (std::size_t i = 0; i < log.size() && log[i].kind != FileOperation::rename; ++i) {
      const auto& op = log[i];
      if (op.kind == FileOperation::create) disk.add("t", "");
      if (op.kind != FileOperation::write && op.kind != FileOperation::allocate) continue;
      auto& bytes = disk.nodes[disk.names["t"]].bytes;
      bytes.resize(std::max<std::size_t>(bytes.size(), op.offset + op.bytes.size()));
      bytes.replace(op.offset, op.bytes.size(), op.bytes);
      const bool more = log[i + 1].kind == FileOperation::write;
      try {
        SafetensorsReader(disk, "t");
        early += more;
      } catch (const InputError&) {
        EXPECT_TRUE(more || op.kind == FileOperation::allocate);
      }
    }
    return early;
  };
  Log log =
      without(record(), [](const auto& op) { return op.path.find("run.lock") != op.path.npos; });
  EXPECT_EQ(whole_too_early(log), 0);
  const auto is_write = [](const auto& op) { return op.kind == FileOperation::write; };
  const auto first = std::find_if(log.begin(), log.end(), is_write);
  std::swap(*first, *(first + 1));  // the mutant: header, then data
  EXPECT_EQ(whole_too_early(log), 1);
}

}  // namespace
}  // namespace haze::engine
