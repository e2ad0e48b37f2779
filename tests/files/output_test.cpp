// SPDX-License-Identifier: MIT
// output_test.cpp — what is written under a path that a user gave. Devices are the fake's: a mistake
// here would replace the machine's own.
#include "engine/files/output.h"

#include <fstream>
#include <sys/stat.h>

#include "tests/support/files.h"
#include "tests/support/memory_file_system.h"

namespace haze::engine {
namespace {
using test::Fault;
using test::MemoryFileSystem;

const std::string_view kParts[] = {"head ", "", "and the rest of it"};
const std::string kWhole = "head and the rest of it";

void write(FileSystem& fs, const std::string& path) { write_output(fs, path, kParts); }

TEST(Output, DevicesAndPipesAreWrittenIntoAndStay) {
  for (const auto kind : {FileKind::character_device, FileKind::pipe}) {
    MemoryFileSystem fs;
    fs.directories.insert("/dev");
    fs.add("/dev/node", kind, "before ");
    const int inode = fs.names["/dev/node"];
    fs.fault = [](const std::string& call, auto, auto&) {
      EXPECT_TRUE(call != "rename" && call != "unlink" && call != "allocate") << call;
      return Fault{.at_most = 7};  // a terminal may take less than it is given
    };
    check_output(fs, "/dev/node");
    EXPECT_EQ(fs.bytes("/dev/node"), "before ");
    write(fs, "/dev/node");
    EXPECT_EQ(fs.names["/dev/node"], inode);
    EXPECT_EQ(fs.bytes("/dev/node"), "before " + kWhole);
    EXPECT_EQ(fs.names.size(), 1u);
    EXPECT_EQ(fs.open_files(), 0u);
    fs.fault = [](const std::string& call, auto, auto&) {
      return Fault{.error = call == "append" ? ENOSPC : 0};  // as /dev/full
    };
    test::expect_error<RunError>([&] { write(fs, "/dev/node"); },
                                 "cannot write /dev/node: No space left");
    EXPECT_EQ(fs.open_files(), 0u);
  }
}

TEST(Output, LinksToDevicesAndDescriptorsLeadThere) {
  MemoryFileSystem fs;
  fs.directories.insert({"/dev", "/d", "/proc", "/proc/self/fd"});
  fs.add("/dev/node", FileKind::character_device);
  fs.add("/d/link", FileKind::link, "../dev/link");
  fs.add("/d/../dev/link", FileKind::link, "/dev/node");
  write(fs, "/d/link");
  EXPECT_EQ(fs.bytes("/dev/node"), kWhole);
  EXPECT_EQ(fs.bytes("/d/link"), "../dev/link");
  // The kernel's link of a descriptor: the file that a shell opened is added to, not replaced.
  MemoryFileSystem shell;
  shell.directories.insert({"/dev", "/proc", "/d"});
  shell.add("/d/redirected", "so far, ");
  shell.add("/dev/stdout", FileKind::link, "/proc/1");
  shell.add("/proc/1", FileKind::link, "/d/redirected", 0);  // 0: of the file system of /proc
  const int inode = shell.names["/d/redirected"];
  write(shell, "/dev/stdout");
  EXPECT_EQ(shell.names["/d/redirected"], inode);
  EXPECT_EQ(shell.bytes("/d/redirected"), "so far, " + kWhole);
}

TEST(Output, ALinkStaysAndItsTargetIsReplacedBesideItself) {
  const test::TemporaryFolder folder;
  make_directories(disk(), folder / "near");
  make_directories(disk(), folder / "far/away");
  std::ofstream(folder / "far/target") << "old";
  ASSERT_EQ(::symlink("../far/away/hop", (folder / "near/link").c_str()), 0);
  ASSERT_EQ(::symlink("../target", (folder / "far/away/hop").c_str()), 0);
  ASSERT_EQ(::symlink("new/file", (folder / "near/dangling").c_str()), 0);
  ASSERT_EQ(::link((folder / "far/target").c_str(), (folder / "other name").c_str()), 0);
  for (const char* name : {"near/link", "near/dangling"}) {
    check_output(disk(), folder / name);
    write(disk(), folder / name);
    EXPECT_TRUE(std::filesystem::is_symlink(folder / name)) << name;
    EXPECT_EQ(read_file(disk(), folder / name, 99), kWhole) << name;
  }
  EXPECT_TRUE(std::filesystem::is_regular_file(folder / "near/new/file"));
  EXPECT_EQ(read_file(disk(), folder / "other name", 99), "old");  // replaced, not overwritten
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "far"), {}), 2);
  ASSERT_EQ(::symlink("round", (folder / "round").c_str()), 0);
  test::expect_error<InputError>([&] { write(disk(), folder / "round"); }, "Too many levels");
}

TEST(Output, WhatCannotBeWrittenIsKnownBeforeAndNothingIsLeft) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "file") << "a file";
  ASSERT_EQ(::mkdir((folder / "d").c_str(), 0700), 0);
  const auto refused = [&](const std::string& path, const std::string& why) {
    test::expect_error<InputError>([&] { check_output(disk(), path); },
                                   "cannot write " + path + ": " + why);
  };
  refused(folder / "d", "a folder; a file's name is needed");
  refused(folder / "new/", "a folder's name");
  refused(folder / "file/x", "Not a directory");
  refused(folder / "file/x/y", "Not a directory");
  refused(folder / std::string(256, 'n'), "File name too long");
  refused(folder / ("new/" + std::string(256, 'n')), "File name too long");
  test::expect_error<InputError>([&] { check_output(disk(), ""); }, "without a name");
  test::expect_error<InputError>([&] { check_output_folder(disk(), folder / "file"); },
                                 "file is no folder");
  check_output_folder(disk(), folder / "d");
  check_output_folder(disk(), folder / "d/e/f");
  check_output(disk(), folder / "new/er/x");
  check_output(disk(), folder / "file");
  check_output(disk(), folder / std::string(255, 'n'));
  EXPECT_EQ(std::distance(std::filesystem::recursive_directory_iterator(folder.path), {}), 2);
  EXPECT_EQ(read_file(disk(), folder / "file", 99), "a file");
  write(disk(), folder / std::string(255, 'n'));  // its temporary name is no longer than that
  EXPECT_EQ(read_file(disk(), folder / std::string(255, 'n'), 99), kWhole);

  MemoryFileSystem fs;
  fs.directories.insert("/d");
  fs.add("/d/disk", FileKind::block_device, "partitions");
  test::expect_error<InputError>([&] { write(fs, "/d/disk"); }, "a block device");
  EXPECT_EQ(fs.bytes("/d/disk"), "partitions");
  for (const int error : {EACCES, EROFS, ENOSPC})
    for (const char* path : {"/d/x", "/d/new/x"}) {
      fs.fault = [&](const std::string& call, auto, auto&) {
        return Fault{.error = call == "open" ? error : 0};
      };
      test::expect_error<InputError>([&] { check_output(fs, path); },
                                     cat("cannot write ", path, ": /d: ", std::strerror(error)));
    }
}

}  // namespace
}  // namespace haze::engine
