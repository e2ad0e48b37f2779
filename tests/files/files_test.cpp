// SPDX-License-Identifier: MIT
// files_test.cpp — files that are there whole or not at all, lines that are torn at most at the
// end, and the run's metrics cut to a checkpoint.
#include "tests/support/files.h"

#include <fcntl.h>
#include <fstream>
#include <sys/stat.h>

#include "tests/support/crash_states.h"

namespace haze::engine {
namespace {
using test::Fault;
using test::MemoryFileSystem;

TEST(Files, AtomicWriteIsOldOrNewWhateverFails) {
  const std::string before(300, 'o'), after(500, 'n');
  for (const int error : {EIO, ENOSPC, EDQUOT, EROFS, ESTALE})
    for (std::size_t k = 0; k < 12; ++k) {
      MemoryFileSystem fs;
      fs.add("config.json", before);
      std::string failed;
      fs.fault = [&](const std::string& call, std::size_t number, const std::string&) {
        if (number == k) failed = call;
        return Fault{.error = number == k ? error : 0, .at_most = 99};
      };
      bool written = true;
      try {
        write_file_atomically(fs, "config.json", after);
      } catch (const RunError& e) {
        EXPECT_THAT(std::string(e.what()), testing::HasSubstr("config.json: "));
        written = false;
      }
      const bool named = written || failed == "fsync_dir";
      EXPECT_EQ(fs.bytes("config.json"), named ? after : before) << failed;
      EXPECT_EQ(fs.names.size(), 1u) << failed;
      EXPECT_EQ(fs.open_files(), 0u) << failed;
    }
}

TEST(Files, AtomicWriteIsOldOrNewAfterAPowerCut) {
  MemoryFileSystem fs;
  write_file_atomically(fs, "/a", "one");
  fs.log.push_back({.kind = test::FileOperation::saved, .offset = 1});
  write_file_atomically(fs, "/a", "two, which is longer");
  fs.log.push_back({.kind = test::FileOperation::saved, .offset = 2});
  for (const auto order : {test::Names::ordered, test::Names::weak}) {
    const auto states =
        test::CrashStates::visit(fs.log, order, [](MemoryFileSystem& disk, std::uint64_t saved) {
          const std::string found = disk.exists("/a") ? disk.bytes("/a") : "";
          EXPECT_TRUE((found.empty() && saved == 0) || (found == "one" && saved <= 1) ||
                      found == "two, which is longer")
              << found;
          return true;
        });
    EXPECT_GT(states, 10u);
  }
}

TEST(Files, ADirectoryThatMayNotBeMadeSaysWhy) {
  MemoryFileSystem fs;
  fs.fault = [](const std::string& call, std::size_t, const std::string& path) {
    if (call != "make_dir") return Fault{};
    return Fault{.error = path == "/home" ? EEXIST : path == "/home/other" ? EACCES : ENOENT};
  };
  test::expect_error<RunError>([&] { make_directories(fs, "/home/other/run/checkpoints"); },
                               "cannot make the directory /home/other: Permission denied");
}

TEST(Files, OnDisk) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "a/b/c.txt";
  make_directories(disk(), folder / "a/b");
  make_directories(disk(), folder / "a/b");  // there already
  write_file_atomically(disk(), path, "first");
  write_file_atomically(disk(), path, "second");
  write_file_atomically(disk(), folder / "empty", "");
  EXPECT_EQ(read_file(disk(), path, 6), "second");
  EXPECT_EQ(read_file(disk(), folder / "empty", 0), "");
  test::expect_error<InputError>([&] { read_file(disk(), path, 5); },
                                 "6 bytes; at most 5 are read");
  test::expect_error<InputError>([&] { read_file(disk(), folder.path, 5); }, "not a regular file");
  test::expect_error<InputError>([&] { read_file(disk(), folder / "no", 5); }, "No such file");
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);  // must not wait for a writer
  test::expect_error<InputError>([&] { read_file(disk(), folder / "fifo", 5); },
                                 "not a regular file");
  test::expect_error<InputError>([&] { SafetensorsReader(disk(), folder / "fifo"); },
                                 "not a regular file");
  test::expect_error<RunError>([&] { make_directories(disk(), path); }, "Not a directory");
  test::expect_error<RunError>([&] { write_file_atomically(disk(), folder / "no/x", "y"); },
                               "cannot create");
  // What is there already is only replaced when asked to.
  NewFile file(disk(), path);
  file.write("third", 5, 0);
  file.finish();
  EXPECT_FALSE(file.publish(false));
  EXPECT_EQ(read_file(disk(), path, 6), "second");
  EXPECT_TRUE(file.publish(true));
  EXPECT_EQ(read_file(disk(), path, 6), "third");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "a/b"), {}), 1);
}

TEST(Files, OnlyTemporariesAreRemoved) {
  MemoryFileSystem fs;
  const auto all = [](std::string_view) { return true; };
  for (const char* name : {".a.tmp.12", ".step-00000001.tmp.3", "a.tmp.12", ".a.tmp.", ".a.tmp.12x",
                           ".tmp.1", "step-00000001.safetensors"})
    fs.add(std::string("./") + name, "");
  EXPECT_EQ(remove_temporaries(fs, ".", [](std::string_view name) { return name == "a"; }),
            (std::vector<std::string>{".a.tmp.12"}));
  EXPECT_EQ(remove_temporaries(fs, ".", all), (std::vector<std::string>{".step-00000001.tmp.3"}));
  EXPECT_EQ(fs.names.size(), 5u);
  EXPECT_TRUE(remove_temporaries(fs, "/absent", all).empty());
}

TEST(Files, ARunRemovesOnlyWhatItsOwnWritersLeft) {
  MemoryFileSystem fs;
  fs.directories.insert({"/r", "/r/checkpoints", "/r/samples"});
  const std::vector<std::string> ours = {
      "/.run.json.tmp.1", "/.config.json.tmp.77", "/.metrics.jsonl.tmp.5",
      "/checkpoints/.step-00000012.safetensors.tmp.3", "/samples/.step-00000012.png.tmp.3"};
  const std::vector<std::string> others = {
      "/.notes.tmp.1",       "/.log.txt.tmp.1",
      "/samples/.a.tmp.2",   "/checkpoints/.step-00000012.png.tmp.3",
      "/run.json",           "/samples/.step-12.png.tmp.3",
      "/.run.json.tmp.1~",   "/samples/.step-00000012.safetensors.tmp.3",
      "/.run.json.tmp.1.bak"};
  for (const auto& name : ours) fs.add("/r" + name, "left");
  for (const auto& name : others) fs.add("/r" + name, "the user's");
  const RunLock lock(fs, "/r");
  for (const auto& name : ours) EXPECT_FALSE(fs.exists("/r" + name)) << name;
  for (const auto& name : others) EXPECT_TRUE(fs.exists("/r" + name)) << name;
}

TEST(Files, LinesAreAppendedWhole) {
  MemoryFileSystem fs;
  std::vector<std::string> calls;
  fs.fault = [&](const std::string& call, auto, auto&) { return calls.push_back(call), Fault{}; };
  {
    LineWriter rows(fs, "m");
    EXPECT_EQ(rows.append("{\"step\":1}"), "");
    EXPECT_EQ(rows.append("{\"step\":2}"), "");
  }
  EXPECT_THAT(calls, testing::ElementsAre("open", "status", "append", "append", "close"));
  LineWriter rows(fs, "m");
  EXPECT_EQ(rows.append("{\"step\":3}"), "");
  EXPECT_EQ(fs.bytes("m"), "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n");
}

TEST(Files, LinesOutliveAFullDisk) {
  for (const int error : {ENOSPC, EDQUOT, EIO, EROFS}) {
    MemoryFileSystem fs;
    LineWriter rows(fs, "m");
    EXPECT_EQ(rows.append("one"), "");
    fs.fault = [&](auto&, auto, auto&) { return Fault{.error = error}; };
    EXPECT_EQ(rows.append("two"), cat("cannot append to m: ", std::strerror(error),
                                      "; lines are left out as long as that lasts"));
    EXPECT_EQ(rows.append("three"), "");
    EXPECT_EQ(rows.lost(), 2u);
    fs.fault = {};
    EXPECT_EQ(rows.append("four"), "m is written again; 2 lines are missing");
    EXPECT_EQ(rows.append("five"), "");
    EXPECT_EQ(fs.bytes("m"), "one\nfour\nfive\n");
    fs.fault = [&](auto&, auto, auto&) { return Fault{.error = error}; };
    EXPECT_THAT(rows.append("six"), testing::HasSubstr("cannot append to m: "));
    fs.fault = {};
    EXPECT_EQ(rows.append("seven"), "m is written again; 1 line is missing");
    EXPECT_EQ(rows.lost(), 3u);
  }
}

TEST(Files, ALineThatWasCutIsCompleted) {
  // However little fits at a time, lines are there whole or not at all, but for the last.
  for (std::size_t most = 0; most < 12; ++most) {
    MemoryFileSystem fs;
    LineWriter rows(fs, "m");
    fs.fault = [&](auto&, auto, auto&) { return Fault{.at_most = most}; };
    std::uint64_t warnings = 0;
    for (int i = 0; i < 9; ++i) warnings += !rows.append(cat("row-", i)).empty();
    fs.fault = {};
    warnings += !rows.append("last").empty();
    std::istringstream in(fs.bytes("m"));
    std::uint64_t whole = 0;
    for (std::string line; std::getline(in, line); ++whole)
      EXPECT_TRUE(line == "last" || (line.size() == 5 && line.starts_with("row-"))) << line;
    EXPECT_EQ(whole + rows.lost(), 10u) << most;
    EXPECT_EQ(warnings > 0, most < 6) << most;
  }
}

TEST(Files, LinesGoToRegularFilesOnly) {
  const test::TemporaryFolder folder;
  write_file_atomically(disk(), folder / "other", "{\"step\":9}\n");
  ASSERT_EQ(::symlink("other", (folder / "link").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", (folder / "dangling").c_str()), 0);
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);  // must not wait for a reader
  ASSERT_EQ(::mkdir((folder / "d").c_str(), 0700), 0);
  const int reader = ::open((folder / "fifo").c_str(), O_RDONLY | O_NONBLOCK);
  for (const auto& [name, is] : {std::pair{"link", "a symbolic link"},
                                 {"dangling", "a symbolic link"},
                                 {"fifo", "a pipe"},
                                 {"d", "a folder"}}) {
    const std::string path = folder / name;
    test::expect_error<InputError>([&] { LineWriter(disk(), path); }, path + ": " + is);
    test::expect_error<InputError>([&] { drop_metrics_after(disk(), path, 1); }, path + ": " + is);
  }
  ::close(reader);
  test::expect_error<InputError>([&] { LineWriter(disk(), folder / "fifo"); }, "a pipe");
  EXPECT_EQ(read_file(disk(), folder / "other", 99), "{\"step\":9}\n");
  EXPECT_FALSE(std::filesystem::exists(folder / "nowhere"));
  // A run folder that came from elsewhere: its lock is no door either.
  ASSERT_EQ(::symlink("../other", (folder / "d/run.lock").c_str()), 0);
  test::expect_error<InputError>([&] { RunLock(disk(), folder / "d"); }, "a symbolic link");
  // A device is written into, but in a run's folder nothing has one.
  MemoryFileSystem fs;
  fs.directories.insert({"/r", "/r/checkpoints"});
  fs.add("/tty", FileKind::character_device);
  fs.add("/disk", FileKind::block_device, "partitions");
  fs.add("/r/run.lock", FileKind::character_device);
  EXPECT_EQ(LineWriter(fs, "/tty").append("said"), "");
  EXPECT_EQ(fs.bytes("/tty"), "said\n");
  test::expect_error<InputError>([&] { LineWriter(fs, "/disk"); }, "/disk: a device");
  test::expect_error<InputError>([&] { RunLock(fs, "/r"); }, "/r/run.lock: a device");
  EXPECT_EQ(fs.open_files(), 0u);
}

TEST(Files, MetricsAreCutToTheCheckpoint) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  EXPECT_EQ(drop_metrics_after(disk(), path, 5), 0u);
  const std::string good = "{\"step\":4,\"loss\":0.5}\n{\"loss\":null,\"step\":5}\n";
  const auto cut = [&](const std::string& rest) {
    std::ofstream(path) << good << rest;
    const auto dropped = drop_metrics_after(disk(), path, 5);
    EXPECT_EQ(read_file(disk(), path, 1000), good) << rest;
    return dropped;
  };
  EXPECT_EQ(cut(""), 0u);
  EXPECT_EQ(cut("{\"step\":6}\n{\"step\":7}\n"), 2u);
  EXPECT_EQ(cut("{\"step\":6,\"lo"), 1u);  // torn
  EXPECT_EQ(cut("{\"step\":5}"), 1u);      // its line break is missing: torn as well
  EXPECT_EQ(cut("\n[5]\n{\"step\":-1}\n{\"step\":\"5\"}\n{\"step\":5.0}\n{}\n"), 6u);
  std::string deep(50'000, '[');
  deep += '\n';
  EXPECT_EQ(cut(deep), 1u);
}

}  // namespace
}  // namespace haze::engine
