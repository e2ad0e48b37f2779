// SPDX-License-Identifier: MIT
// file_system.h — every operation on files that haze's writers do, behind one small interface.
//
// Writers take a FileSystem&, so that a test can run them in memory, record what they do, and fail,
// cut short or stop at any single operation. disk() is the real one. All paths are plain strings;
// nothing here follows a policy of its own: see new_file.h and checkpoint.h for those.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace haze::engine {

enum class FileKind : std::uint8_t {
  other,  // a socket, say
  regular,
  directory,
  link,
  pipe,
  character_device,
  block_device
};

struct FileStatus {
  FileKind kind = FileKind::other;
  std::uint64_t size = 0;
  std::uint64_t device = 0, inode = 0;  // together they name a file, whatever its paths
  bool regular() const { return kind == FileKind::regular; }
};

/// Every function returns a value >= 0, or -errno. None throws, none retries.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// open(2): flags as there; O_CLOEXEC is always added. A mode of 0644 is cut by the umask.
  virtual int open(const std::string& path, int flags) = 0;
  /// May do less than asked for, as the system calls do.
  virtual std::int64_t pread(int fd, void* to, std::size_t bytes, std::uint64_t offset) = 0;
  virtual std::int64_t pwrite(int fd, const void* from, std::size_t bytes,
                              std::uint64_t offset) = 0;
  /// One write(2), for files opened with O_APPEND.
  virtual std::int64_t append(int fd, const void* from, std::size_t bytes) = 0;
  /// Makes the file `bytes` long and its blocks present: "disk full" shows here.
  virtual int allocate(int fd, std::uint64_t bytes) = 0;
  virtual int status(int fd, FileStatus& to) = 0;
  /// The same of a path: of what a link leads to, or of the link itself.
  virtual int status_of(const std::string& path, bool follow_link, FileStatus& to) = 0;
  /// What a symbolic link says.
  virtual int read_link(const std::string& path, std::string& to) = 0;
  virtual int fsync(int fd) = 0;
  virtual int close(int fd) = 0;
  /// Asks that the next read come from the device, not from memory. A hint.
  virtual int drop_cache(int fd) = 0;
  /// flock(LOCK_EX | LOCK_NB): -EWOULDBLOCK when another holds it. Ends with close or the process.
  virtual int lock(int fd) = 0;

  /// Atomic. Without `replace`, -EEXIST if `to` exists.
  virtual int rename(const std::string& from, const std::string& to, bool replace) = 0;
  virtual int unlink(const std::string& path) = 0;
  /// Makes the names in a directory durable.
  virtual int fsync_dir(const std::string& path) = 0;
  virtual int make_dir(const std::string& path) = 0;
  /// Names in a directory, without "." and "..", in no particular order.
  virtual int list(const std::string& path, std::vector<std::string>& names) = 0;
};

/// The file system of this machine.
FileSystem& disk();

}  // namespace haze::engine
