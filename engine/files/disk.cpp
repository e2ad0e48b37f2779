// SPDX-License-Identifier: MIT
// disk.cpp — FileSystem by POSIX calls.
#include <cerrno>
#include <climits>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/files/file_system.h"

namespace haze::engine {
namespace {

template <class R>
R result(R r) {
  return r < 0 ? R(-errno) : r;
}

FileStatus status_from(const struct stat& s) {
  const auto kind = S_ISREG(s.st_mode)    ? FileKind::regular
                    : S_ISDIR(s.st_mode)  ? FileKind::directory
                    : S_ISLNK(s.st_mode)  ? FileKind::link
                    : S_ISFIFO(s.st_mode) ? FileKind::pipe
                    : S_ISCHR(s.st_mode)  ? FileKind::character_device
                    : S_ISBLK(s.st_mode)  ? FileKind::block_device
                                          : FileKind::other;
  return {kind, std::uint64_t(s.st_size), s.st_dev, s.st_ino};
}

class Disk final : public FileSystem {
 public:
  int open(const std::string& path, int flags) override {
    return result(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  }
  std::int64_t pread(int fd, void* to, std::size_t bytes, std::uint64_t offset) override {
    return result(std::int64_t(::pread(fd, to, bytes, off_t(offset))));
  }
  std::int64_t pwrite(int fd, const void* from, std::size_t bytes, std::uint64_t offset) override {
    return result(std::int64_t(::pwrite(fd, from, bytes, off_t(offset))));
  }
  std::int64_t append(int fd, const void* from, std::size_t bytes) override {
    return result(std::int64_t(::write(fd, from, bytes)));
  }
  int allocate(int fd, std::uint64_t bytes) override {
    // Not posix_fallocate: where the file system cannot, glibc would write every block twice.
    return bytes == 0 ? 0 : result(::fallocate(fd, 0, 0, off_t(bytes)));
  }
  int status(int fd, FileStatus& to) override {
    struct stat s;
    const int r = result(::fstat(fd, &s));
    if (r == 0) to = status_from(s);
    return r;
  }
  int status_of(const std::string& path, bool follow_link, FileStatus& to) override {
    struct stat s;
    const int r = result(follow_link ? ::stat(path.c_str(), &s) : ::lstat(path.c_str(), &s));
    if (r == 0) to = status_from(s);
    return r;
  }
  int read_link(const std::string& path, std::string& to) override {
    char text[PATH_MAX];
    const auto r = result(::readlink(path.c_str(), text, sizeof text));
    if (r < 0) return int(r);
    to.assign(text, std::size_t(r));
    return 0;
  }
  int fsync(int fd) override { return result(::fsync(fd)); }
  int close(int fd) override { return result(::close(fd)); }
  int drop_cache(int fd) override { return -::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); }
  int lock(int fd) override { return result(::flock(fd, LOCK_EX | LOCK_NB)); }

  int rename(const std::string& from, const std::string& to, bool replace) override {
    if (replace) return result(::rename(from.c_str(), to.c_str()));
    const int r =
        result(::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE));
    if (r != -EINVAL && r != -ENOSYS) return r;
    // A file system without RENAME_NOREPLACE (NFS): link refuses an existing name too.
    const int linked = result(::link(from.c_str(), to.c_str()));
    return linked < 0 ? linked : result(::unlink(from.c_str()));
  }
  int unlink(const std::string& path) override { return result(::unlink(path.c_str())); }
  int fsync_dir(const std::string& path) override {
    const int fd = result(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0) return fd;
    const int r = result(::fsync(fd));
    ::close(fd);
    return r;
  }
  int make_dir(const std::string& path) override { return result(::mkdir(path.c_str(), 0755)); }
  int list(const std::string& path, std::vector<std::string>& names) override {
    DIR* dir = ::opendir(path.c_str());
    if (!dir) return -errno;
    errno = 0;
    while (const dirent* entry = ::readdir(dir)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    const int r = -errno;
    ::closedir(dir);
    return r;
  }
};

}  // namespace

FileSystem& disk() {
  static Disk the_disk;
  return the_disk;
}

}  // namespace haze::engine
