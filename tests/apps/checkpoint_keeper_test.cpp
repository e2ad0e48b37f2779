// SPDX-License-Identifier: MIT
// checkpoint_keeper_test.cpp — checkpoints on a disk that is full, for a while or for good.
#include "apps/checkpoint_keeper.h"

#include "engine/files/new_file.h"
#include "tests/support/files.h"

namespace haze::apps {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;

class Keeper : public testing::Test {
 protected:
  CheckpointKeeper::Write write(std::uint64_t step) {
    return [this, step] {
      ++attempts;
      if (full_for-- > 0) throw engine::DiskFullError("no room");
      if (broken) throw RunError("broken");
      return engine::SaveReport{"RUN/" + std::to_string(step), 1, {}};
    };
  }
  /// What is said meanwhile.
  template <class F>
  std::string said(F work) {
    testing::internal::CaptureStderr();
    work();
    return testing::internal::GetCapturedStderr();
  }
  static std::size_t count(const std::string& text, const std::string& what) {
    std::size_t n = 0;
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
    return n;
  }
  int attempts = 0, full_for = 0;
  bool broken = false;
  StopSignals signals{false};
  Console console;
  SavePauses pauses{milliseconds(5), {milliseconds(1), milliseconds(1)}, {milliseconds(1)}};
  CheckpointKeeper keeper{signals, console, pauses};
};

TEST_F(Keeper, SavesAStepOnce) {
  EXPECT_EQ(keeper.last_good(), "no checkpoint was written yet");
  const std::string text = said([&] {
    keeper.save(3, write(3));
    keeper.save(3, write(3));
    keeper.save_at_end(3, write(3));
  });
  EXPECT_EQ(attempts, 1);
  EXPECT_THAT(text, testing::StartsWith("save step 3 RUN/3 "));
  EXPECT_EQ(keeper.last_good(), "the last good checkpoint is RUN/3");
  EXPECT_FALSE(keeper.is_waiting() || keeper.due_again());
}

TEST_F(Keeper, TrainingGoesOnWhileTheDiskIsFull) {
  keeper.mark_saved(2, "RUN/2");
  full_for = 9;
  const std::string text = said([&] {
    for (std::uint64_t step = 3; attempts < 10; ++step) {
      keeper.save(step, write(step));
      if (attempts == 10) break;
      EXPECT_TRUE(keeper.is_waiting());
      std::this_thread::sleep_for(milliseconds(6));
      EXPECT_TRUE(keeper.due_again());
    }
  });
  EXPECT_EQ(count(text, "haze: warning: "), 4u) << text;  // attempts 1, 2, 4 and 8
  EXPECT_THAT(text,
              AllOf(HasSubstr("no room; step 3 is not saved (attempt 1); the last good "
                              "checkpoint is RUN/2; training goes on and tries again"),
                    HasSubstr("save step 12 RUN/12 "), HasSubstr(", after 9 failed attempts")));
  EXPECT_FALSE(keeper.is_waiting() || keeper.due_again());
}

TEST_F(Keeper, TheEndWaitsForRoomAndNotForEver) {
  full_for = 2;
  EXPECT_THAT(said([&] { keeper.save_at_end(5, write(5)); }),
              AllOf(HasSubstr("step 5 is not saved yet; no checkpoint was written yet; waiting"),
                    HasSubstr("save step 5 RUN/5 ")));
  attempts = 0, full_for = 99;
  EXPECT_EQ(count(said([&] {
                    test::expect_error<TrainingEnded>(
                        [&] { keeper.save_at_end(6, write(6)); },
                        "no room; step 6 is not saved; the last good checkpoint is RUN/5");
                  }),
                  "haze: warning: "),
            1u);
  EXPECT_EQ(attempts, 3);
}

TEST_F(Keeper, ASignalCutsTheWaitShort) {
  full_for = 99;
  CheckpointKeeper patient(signals, console,
                           {milliseconds(5), {std::chrono::hours(1)}, {milliseconds(1)}});
  std::thread sender([] {
    std::this_thread::sleep_for(milliseconds(100));
    kill(getpid(), SIGTERM);
  });
  said([&] {
    test::expect_error<TrainingEnded>([&] { patient.save_at_end(6, write(6)); }, "no room");
    EXPECT_EQ(attempts, 1);
    test::expect_error<TrainingEnded>([&] { patient.save_at_end(7, write(7)); }, "no room");
    EXPECT_EQ(attempts, 3);  // whoever stops it gives it a second attempt
  });
  sender.join();
}

TEST_F(Keeper, WhatWaitingDoesNotMendEndsAtOnce) {
  broken = true;
  for (const auto save : {&CheckpointKeeper::save, &CheckpointKeeper::save_at_end}) {
    attempts = 0;
    test::expect_error<TrainingEnded>([&] { (keeper.*save)(5, write(5)); },
                                      "broken; step 5 is not saved; no checkpoint was written yet");
    EXPECT_EQ(attempts, 1);
  }
}

}  // namespace
}  // namespace haze::apps
