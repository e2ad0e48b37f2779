// SPDX-License-Identifier: MIT
// surroundings_test.cpp — `haze train` where disks are full, streams closed and others at work.
#include <nlohmann/json.hpp>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "apps/image/png.h"
#include "tests/apps/tiny_run.h"
#include "tests/support/pictures.h"

namespace haze::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

class Surroundings : public TinyRun {
 protected:
  std::uintmax_t checkpoint_size() {
    EXPECT_EQ(train("size", 1).code, 0);
    return fs::file_size(checkpoint("size", 1));
  }
  std::size_t checkpoints(const std::string& run) const {
    std::size_t n = 0;
    for (const auto& entry : fs::directory_iterator(at(run + "/checkpoints")))
      n += entry.path().filename().string().starts_with("step-");
    return n;
  }
};

TEST_F(Surroundings, LogsThatCannotBeWrittenAreAWarning) {
  const auto limit = 2 * checkpoint_size();
  ASSERT_EQ(train("run", 2).code, 0);
  // All are longer than a file may be, so that every line is refused.
  const std::string row = "{\"step\": 1, \"padding\": \"" + std::string(990, 'x') + "\"}\n";
  std::string padding;
  while (padding.size() < limit) padding += row;
  write(at("run/metrics.jsonl"), padding);
  write(at("run/log.txt"), padding);
  write(at("own.log"), padding);
  const Outcome got = haze(arguments("run", 7, {"--resume", "--log-file", at("own.log")}), [&] {
    const rlimit most{limit, limit};
    setrlimit(RLIMIT_FSIZE, &most);
  });
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_TRUE(fs::exists(checkpoint("run", 7)));
  for (const std::string& file : {at("run/metrics.jsonl"), at("run/log.txt"), at("own.log")})
    EXPECT_EQ(count(got.err, "haze: warning: cannot append to " + file), 1u) << got.err;
  EXPECT_THAT(got.err, HasSubstr("metrics.jsonl: rows missing: 5\n"));
}

TEST_F(Surroundings, AGridThatCannotBeWrittenIsAWarning) {
  for (const char* step : {"2", "4"}) {
    fs::create_directories(at("run/samples/step-0000000" + std::string(step) + ".png"));
    write(at("run/samples/step-0000000" + std::string(step) + ".png/occupied"), "");
  }
  write(at("run/run.lock"), "");  // a run's folder
  const Outcome got = train("run", 6, {"--set", "train.sample_every=2"});
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_EQ(count(got.err, "training goes on without it"), 1u) << got.err;
  EXPECT_THAT(got.err, HasSubstr("samples: grids missing: 2\n"));
  EXPECT_TRUE(fs::exists(at("run/samples/step-00000006.png")));
  EXPECT_TRUE(fs::exists(checkpoint("run", 6)));
}

TEST_F(Surroundings, ClosedStreamsAreNobodysFiles) {
  const Outcome got = haze(arguments("run", 3), [] { close(0), close(1), close(2); });
  EXPECT_EQ(got.code, 0);
  EXPECT_EQ(got.err, "");
  for (const std::string& line : lines(contents(at("run/metrics.jsonl"))))
    EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  EXPECT_EQ(contents(at("run/run.lock")).find_first_not_of("0123456789 \n"), std::string::npos);
  const Outcome out_only = haze(arguments("two", 1), [] { close(1); });
  EXPECT_EQ(out_only.code, 0) << out_only.err;
}

/// A pipe into which the test writes, or from which it does not read.
struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read = ends[0], write = ends[1];
  }
  ~Pipe() {
    ::close(read);
    if (write >= 0) ::close(write);
  }
};

TEST_F(Surroundings, ARequestToSaveBeforeTheFirstStepIsRemembered) {
  // The program waits for its configuration on standard input.
  Pipe config;
  Process run({"train", "--config", "-", "--out", at("run"), "--steps", "20"},
              [&] { dup2(config.read, 0); });
  const std::string status = "/proc/" + std::to_string(run.id()) + "/status";
  ASSERT_TRUE(run.wait_until([&] {
    const std::string text = contents(status);
    const auto caught = text.find("SigCgt:");
    return caught != text.npos && text.find("\thaze\n") != text.npos &&
           (std::stoull(text.substr(caught + 7), nullptr, 16) >> (SIGUSR1 - 1) & 1);
  }));
  run.signal(SIGUSR1);
  const std::string text = contents(at("tiny.json"));
  ASSERT_EQ(::write(config.write, text.data(), text.size()), ssize_t(text.size()));
  ::close(std::exchange(config.write, -1));
  const Outcome got = run.wait();
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_TRUE(fs::exists(checkpoint("run", 1))) << got.err;
  EXPECT_TRUE(fs::exists(checkpoint("run", 20)));
}

TEST_F(Surroundings, ARunThatAppearsWhileDataLoadsIsLeftAlone) {
  // The second start has looked at the folder, and then waits in a note about its data: nobody
  // reads its standard error.
  fs::create_directories(at("images"));
  for (const char* name : {"a", "b", "c", "d"}) {
    const auto png = apps::encode_png(picture(8, 8, 1));
    write(at("images/" + std::string(name) + ".png"), {png.begin(), png.end()});
  }
  write(at("images/e.png"), "no picture");
  Pipe error;
  const int flags = fcntl(error.write, F_GETFL);
  fcntl(error.write, F_SETFL, flags | O_NONBLOCK);
  const std::string block(4096, 'x');
  while (::write(error.write, block.data(), block.size()) > 0) {
  }
  fcntl(error.write, F_SETFL, flags);
  for (const bool overwrite : {false, true}) {
    fs::remove_all(at("run"));
    std::vector<std::string> more = {"--skip-bad", "--data", "images:" + at("images")};
    if (overwrite) more.emplace_back("--overwrite");
    Process second(arguments("run", 1, more), [&] { dup2(error.write, 2); });
    const std::string call = "/proc/" + std::to_string(second.id()) + "/syscall";
    const std::string blocked = std::to_string(SYS_write) + " 0x2 ";
    ASSERT_TRUE(second.wait_until([&] { return contents(call).starts_with(blocked); }));
    ASSERT_EQ(train("run", 3).code, 0);
    const std::string metrics = contents(at("run/metrics.jsonl"));
    // All that is in the pipe: now it goes on.
    fcntl(error.read, F_SETFL, O_NONBLOCK);
    std::string said;
    std::thread reader([&] {
      std::string part(1 << 16, 0);
      for (int quiet = 0; quiet < 2000;) {
        const auto n = ::read(error.read, part.data(), part.size());
        if (n > 0) said.append(part, 0, std::size_t(n));
        quiet = said.find("haze: error") != said.npos || said.find("next: haze") != said.npos
                    ? 2000
                    : quiet + 1;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    });
    const Outcome got = second.wait();
    reader.join();
    EXPECT_EQ(got.code, overwrite ? 0 : 2);
    const std::string kept = overwrite ? "run.old-1" : "run";
    EXPECT_EQ(contents(at(kept + "/metrics.jsonl")), metrics);
    EXPECT_TRUE(fs::exists(checkpoint(kept, 3)));
    EXPECT_THAT(said, HasSubstr(overwrite ? "is now in" : "another process has put a run there"));
    fcntl(error.write, F_SETFL, flags | O_NONBLOCK);
    while (::write(error.write, block.data(), block.size()) > 0) {
    }
    fcntl(error.write, F_SETFL, flags);
  }
}

/// A file system of its own for one folder, of a few bytes; only where the test may mount one.
class FullDisk : public Surroundings {
 protected:
  /// The folder `run` becomes one of `bytes`; false where that is not allowed.
  bool mount_small_disk(std::uintmax_t bytes) {
    fs::create_directories(at("run"));
    if (unshare(CLONE_NEWNS) != 0) return false;
    mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    mounted_ = mount("tmpfs", at("run").c_str(), "tmpfs", 0,
                     ("size=" + std::to_string(bytes)).c_str()) == 0;
    return mounted_;
  }
  ~FullDisk() override {
    if (mounted_) umount2(at("run").c_str(), MNT_DETACH);
  }
  /// Takes all the room but `left` bytes.
  void fill(std::uintmax_t left) {
    const auto room = fs::space(at("run")).available;
    ASSERT_GT(room, left);
    std::ofstream(at("run/.filler")) << std::string(std::size_t(room - left), 'x');
  }
  bool mounted_ = false;
};

TEST_F(FullDisk, RoomIsMadeFromTheOldestCheckpoint) {
  const auto size = checkpoint_size();
  if (!mount_small_disk(size * 7 / 2)) GTEST_SKIP() << "no small disk can be mounted here";
  const Outcome got = train("run", 8, {"--set", "train.checkpoint_every=1", "-v"});
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_THAT(got.err, AllOf(HasSubstr("to make room"), Not(HasSubstr("is not saved"))));
  EXPECT_TRUE(fs::exists(checkpoint("run", 8)));
  EXPECT_EQ(checkpoints("run"), 3u);
}

TEST_F(FullDisk, TrainingGoesOnAndSavesAtTheEnd) {
  const auto size = checkpoint_size();
  if (!mount_small_disk(size * 3)) GTEST_SKIP() << "no small disk can be mounted here";
  fill(size / 2);
  Process run(arguments("run", 12, {"--set", "train.checkpoint_every=2"}));
  ASSERT_TRUE(
      run.wait_until([&] { return run.err().find("waiting for room") != std::string::npos; }));
  fs::remove(at("run/.filler"));
  const Outcome got = run.wait();
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_EQ(count(got.err, "training goes on and tries again"), 1u) << got.err;
  EXPECT_TRUE(fs::exists(checkpoint("run", 12)));
  EXPECT_EQ(lines(contents(at("run/metrics.jsonl"))).size(), 12u);
}

TEST_F(FullDisk, AStopThatCannotSaveEndsSoon) {
  const auto size = checkpoint_size();
  if (!mount_small_disk(size * 3)) GTEST_SKIP() << "no small disk can be mounted here";
  Process run(arguments("run", 1000000, {"--set", "train.log_every=1000000"}));
  ASSERT_TRUE(run.wait_until([&] { return run.err().find("step 1 ") != std::string::npos; }));
  run.signal(SIGUSR1);
  ASSERT_TRUE(run.wait_until([&] { return run.err().find("save step") != std::string::npos; }));
  fill(size / 2);
  run.signal(SIGTERM);
  const Outcome got = run.wait();
  EXPECT_EQ(got.code, 1) << got.err;
  EXPECT_THAT(got.last_error_line(), AllOf(HasSubstr("No space left"), HasSubstr("is not saved"),
                                           HasSubstr("the last good checkpoint is " + at("run"))));
  EXPECT_EQ(checkpoints("run"), 1u);
}

}  // namespace
}  // namespace haze::test
