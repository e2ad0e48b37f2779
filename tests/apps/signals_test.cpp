// SPDX-License-Identifier: MIT
// signals_test.cpp — what signals do to a process that trains, whatever it is busy with.
#include "apps/signals.h"

#include "tests/apps/program.h"

namespace haze::test {
namespace {

using apps::StopSignals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// Runs `work` in a child process; its exit code, or -signal, and what it said.
Outcome in_child(const std::function<void()>& work) {
  const TemporaryFolder folder;
  const std::string err = folder / "err";
  const pid_t child = fork();
  if (child == 0) {
    dup2(open(err.c_str(), O_CREAT | O_WRONLY, 0644), 2);
    alarm(60);  // a test that hangs fails; StopSignals takes the alarm over
    work();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), "", contents(err)};
}

[[noreturn]] void hang() {
  for (const auto start = std::chrono::steady_clock::now();
       std::chrono::steady_clock::now() - start < std::chrono::seconds(60);)
    pause();
  _exit(99);
}
void rest(int ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  std::this_thread::sleep_until(until);
}

TEST(StopSignals, AStepThatDoesNotEndEndsWithTheProcess) {
  for (const auto& [signal, code] : {std::pair(SIGTERM, 143), {SIGINT, 130}, {SIGHUP, 143}}) {
    const Outcome got = in_child([signal = signal] {
      std::signal(SIGHUP, SIG_DFL);  // under nohup it is ignored
      StopSignals signals(false, 1);
      signals.note_checkpoint("RUN/step-7");
      raise(signal);
      hang();
    });
    EXPECT_EQ(got.code, code);
    const std::string name = code == 130 ? "SIGINT" : "SIGTERM";
    EXPECT_EQ(got.err,
              name + ": finishing this step, then saving; the next signal leaves without saving\n" +
                  "haze: error: " + name +
                  ": the step did not come to its end; not saved; the last good checkpoint is "
                  "RUN/step-7\n");
  }
}

TEST(StopSignals, TwoWithinASecondAreOne) {
  const Outcome got = in_child([] {
    StopSignals signals(false);
    raise(SIGTERM), raise(SIGINT), raise(SIGTERM);
    _exit(signals.stop() == SIGTERM ? 7 : 8);
  });
  EXPECT_EQ(got.code, 7);
  EXPECT_EQ(lines(got.err).size(), 1u) << got.err;
}

TEST(StopSignals, ALaterOneLeavesAtOnce) {
  const Outcome got = in_child([] {
    StopSignals signals(true);
    raise(SIGTERM);
    rest(1050);
    raise(SIGINT);
  });
  EXPECT_EQ(got.code, 130);
  EXPECT_EQ(got.err,
            "haze: error: SIGINT: not the first signal: left without saving; "
            "no checkpoint was written yet\n");
}

TEST(StopSignals, ALongStepAndACheckpointAreGivenTheirTime) {
  const Outcome step = in_child([] {
    StopSignals signals(true, 1);
    signals.note_step(0.5);  // 1 s and three of these: 3 s
    raise(SIGTERM);
    rest(1800);
    signals.obeyed();
    rest(2500);
  });
  EXPECT_EQ(step.code, 0) << step.err;
  const Outcome checkpoint = in_child([] {
    StopSignals signals(true, 1);
    {
      const StopSignals::Saving saving;
      raise(SIGTERM);
      rest(2500);
    }
    hang();  // but what comes after it is not
  });
  EXPECT_EQ(checkpoint.code, 143);
  EXPECT_THAT(checkpoint.err, HasSubstr("did not come to its end"));
}

TEST(StopSignals, AStandardErrorThatTakesNothingHoldsNothingUp) {
  const Outcome got = in_child([] {
    int ends[2];
    if (pipe(ends) != 0) _exit(98);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    const std::string block(4096, 'x');
    while (::write(ends[1], block.data(), block.size()) > 0) {
    }
    fcntl(ends[1], F_SETFL, 0);
    dup2(ends[1], 2);
    StopSignals signals(false, 1);
    raise(SIGTERM);
    hang();
  });
  EXPECT_EQ(got.code, 143);
}

TEST(StopSignals, TheEndInsideALibraryNamesTheLastCheckpoint) {
  const auto ends = [](bool while_it_lives) {
    return in_child([=] {
      {
        StopSignals signals(false);
        signals.note_checkpoint("RUN/step-7");
        signals.note_checkpoint("RUN/step-8");
        if (while_it_lives) std::exit(1);
      }
      std::exit(0);
    });
  };
  const Outcome early = ends(true);
  EXPECT_EQ(early.code, 1);
  EXPECT_THAT(early.err, AllOf(HasSubstr("haze: error: ended by a library; "),
                               HasSubstr("RUN/step-8\n"), Not(HasSubstr("RUN/step-7"))));
  EXPECT_THAT(ends(false).err, Not(HasSubstr("haze: error")));
}

TEST(StopSignals, ARequestToSaveIsRememberedFromTheStart) {
  const Outcome got = in_child([] {
    apps::remember_checkpoint_requests();
    raise(SIGUSR1), raise(SIGUSR1);
    StopSignals signals(false);
    const bool first = signals.take_checkpoint_request(),
               second = signals.take_checkpoint_request();
    raise(SIGUSR1);
    _exit(first && !second && signals.take_checkpoint_request() ? 7 : 8);
  });
  EXPECT_EQ(got.code, 7);
}

}  // namespace
}  // namespace haze::test
