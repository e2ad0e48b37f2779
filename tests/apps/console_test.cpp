// SPDX-License-Identifier: MIT
// console_test.cpp — what goes to standard error, and how: the flags that every subcommand has.
#include <sys/ioctl.h>

#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ConsoleFlags : public TinyRun {
 protected:
  /// What a terminal of 200 columns is shown by a short run.
  std::string on_a_terminal(const std::vector<std::string>& more,
                            const std::function<void()>& in_child = {}) const {
    const std::string shown = shown_by(arguments("on-a-terminal", 2, more), in_child);
    fs::remove_all(at("on-a-terminal"));
    return shown;
  }
  static std::string shown_by(const std::vector<std::string>& command,
                              const std::function<void()>& in_child) {
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    EXPECT_TRUE(grantpt(master) == 0 && unlockpt(master) == 0);
    const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    const winsize size{50, 200, 0, 0};
    ioctl(terminal, TIOCSWINSZ, &size);
    haze(command, [&] {
      for (const char* name : {"NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS"})
        unsetenv(name);
      setenv("TERM", "xterm", 1);
      dup2(terminal, 2);
      if (in_child) in_child();
    });
    fcntl(master, F_SETFL, O_NONBLOCK);
    std::string shown(1 << 16, '\0');  // what a run of two steps says fits the terminal's buffer
    const auto n = ::read(master, shown.data(), shown.size());
    shown.resize(n > 0 ? std::size_t(n) : 0);
    close(terminal);
    close(master);
    return shown;
  }
};

TEST_F(ConsoleFlags, QuietLeavesErrorsOnly) {
  const Outcome plain = train("plain", 2), quiet = train("quiet", 2, {"-q"});
  EXPECT_THAT(plain.err, AllOf(HasSubstr("haze "), HasSubstr("\nstep 1 kimg ")));
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(quiet.out, checkpoint("quiet", 2) + "\n");
  const Outcome wrong = train("quiet", 2, {"-q"});
  EXPECT_THAT(wrong.err, StartsWith("haze: error: --out: "));
  EXPECT_THAT(train("both", 2, {"-q", "-v"}).err, HasSubstr("--verbose: given with --quiet"));
}

TEST_F(ConsoleFlags, NoProgressLeavesTheRest) {
  const Outcome got = train("run", 2, {"--no-progress"});
  EXPECT_THAT(got.err, AllOf(HasSubstr("run folder"), Not(HasSubstr("step 1 kimg "))));
}

TEST_F(ConsoleFlags, ALogFileGetsWhatIsSaidWithoutTheProgress) {
  ASSERT_EQ(train("run", 2, {"--log-file", at("log"), "--color", "always"}).code, 0);
  ASSERT_EQ(train("run", 2, {"--log-file", at("log"), "--color", "always"}).code, 2);
  EXPECT_THAT(contents(at("log")), AllOf(HasSubstr("save step 2"), HasSubstr("haze: error: --out"),
                                         Not(HasSubstr("\033")), Not(HasSubstr("kimg"))));
}

TEST_F(ConsoleFlags, ColourIsForTerminalsUnlessAskedFor) {
  const std::vector<std::string> wrong = {"--resume", "--overwrite"};
  EXPECT_THAT(on_a_terminal(wrong), HasSubstr("\033[31mhaze: error: "));
  EXPECT_THAT(on_a_terminal(wrong, [] { setenv("NO_COLOR", "1", 1); }), Not(HasSubstr("\033[31m")));
  EXPECT_THAT(on_a_terminal(wrong, [] { setenv("TERM", "dumb", 1); }), Not(HasSubstr("\033")));
  auto never = wrong, always = wrong;
  never.insert(never.end(), {"--color", "never"});
  always.insert(always.end(), {"--color", "always"});
  EXPECT_THAT(on_a_terminal(never), Not(HasSubstr("\033[31m")));
  EXPECT_THAT(haze(arguments("x", 2, wrong)).err, Not(HasSubstr("\033")));
  EXPECT_THAT(haze(arguments("x", 2, always)).err, StartsWith("\033[31mhaze: error: "));
  EXPECT_THAT(haze(arguments("x", 2, wrong), [] { setenv("FORCE_COLOR", "1", 1); }).err,
              StartsWith("\033[31m"));
  EXPECT_THAT(haze({"train", "--colour"}).err, HasSubstr("did you mean --color?"));
}

TEST_F(ConsoleFlags, ATerminalGetsABarAndAFileGetsLines) {
  EXPECT_THAT(on_a_terminal({}), AllOf(HasSubstr("\r\033[K[==========          ] step 1 kimg "),
                                       HasSubstr("[====================] step 2 kimg ")));
  EXPECT_THAT(on_a_terminal({}, [] { setenv("COLUMNS", "60", 1); }),
              AllOf(HasSubstr("[=====     ] step 1 "), Not(HasSubstr("sec/kimg"))));
  EXPECT_THAT(on_a_terminal({"--no-progress"}), Not(HasSubstr("[=")));
  EXPECT_THAT(on_a_terminal({}, [] { setenv("TERM", "dumb", 1); }),
              AllOf(HasSubstr("\nstep 1 kimg "), Not(HasSubstr("\033"))));
  EXPECT_THAT(train("run", 2).err, Not(HasSubstr("\r")));
}

TEST_F(ConsoleFlags, AConfigurationFromATerminalIsNotWaitedFor) {
  EXPECT_THAT(shown_by({"train", "--config", "-"}, [] { dup2(2, 0); }),
              HasSubstr("--config: -; standard input is a terminal"));
}

TEST_F(ConsoleFlags, TheEnvironmentNamesTheDeviceUntilAFlagDoes) {
  const auto gpu = [] { setenv("HAZE_DEVICE", "gpu", 1); };
  EXPECT_THAT(haze(arguments("run", 1), gpu).err, HasSubstr("--device: gpu; cpu, cuda or cuda:N"));
  EXPECT_EQ(haze(arguments("run", 1, {"--device", "cpu"}), gpu).code, 0);
}

}  // namespace
}  // namespace haze::test
