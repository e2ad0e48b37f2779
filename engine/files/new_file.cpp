// SPDX-License-Identifier: MIT
#include "engine/files/new_file.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace haze::engine {
namespace {

constexpr std::uint64_t kBlock = 4u << 20;

std::string name_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

/// NAME of .NAME.tmp.<digits>; "" for what is not called so.
std::string_view name_of_temporary(std::string_view name) {
  const auto at = name.rfind(".tmp.");
  const bool is_one = name.size() > 1 && name[0] == '.' && at != name.npos && at > 1 &&
                      at + 5 < name.size() &&
                      name.find_first_not_of("0123456789", at + 5) == name.npos;
  return is_one ? name.substr(1, at - 1) : "";
}

bool is_full(std::int64_t result) { return result == -ENOSPC || result == -EDQUOT; }

[[noreturn]] void fail(const std::string& text, std::int64_t result) {
  if (is_full(result)) throw DiskFullError(text);
  throw RunError(text);
}

}  // namespace

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string failure(const char* what, const std::string& path, std::int64_t result) {
  return cat("cannot ", what, ' ', path, ": ", std::strerror(int(-result)));
}

std::string temporary_name(const std::string& path) {
  constexpr std::size_t kMost = 200;
  return cat(directory_of(path), "/.", name_of(path).substr(0, kMost), ".tmp.", ::getpid());
}

NewFile::NewFile(FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {
  temporary_ = temporary_name(path_);
  const auto create = [&] {
    return uninterrupted(
        [&] { return fs_.open(temporary_, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW); });
  };
  fd_ = create();
  if (fd_ == -EEXIST) {  // left by an earlier process with this id, or by this one
    fs_.unlink(temporary_);
    fd_ = create();
  }
  if (fd_ < 0) fail(failure("create", path_, fd_), fd_);
}

NewFile::~NewFile() {
  if (fd_ >= 0) fs_.close(fd_);
  if (!named_) fs_.unlink(temporary_);
}

void NewFile::reserve(std::uint64_t bytes) {
  if (bytes == 0) return;
  const int r = uninterrupted([&] { return fs_.allocate(fd_, bytes); });
  if (r < 0 && r != -EOPNOTSUPP && r != -ENOSYS)
    fail(cat(failure("reserve space for", path_, r), "; ", bytes, " bytes are needed"), r);
}

void NewFile::write(const void* from, std::uint64_t bytes, std::uint64_t offset) {
  const char* p = static_cast<const char*>(from);
  while (bytes > 0) {
    const std::int64_t done = uninterrupted(
        [&] { return fs_.pwrite(fd_, p, std::size_t(std::min(bytes, kBlock)), offset); });
    if (done <= 0) fail(failure("write", path_, done < 0 ? done : -EIO), done);
    p += done;
    offset += std::uint64_t(done);
    bytes -= std::uint64_t(done);
  }
}

void NewFile::finish() {
  // A failed fsync is never repeated on this descriptor: the second one would report success for
  // pages that were dropped. After a failed close the descriptor is gone all the same.
  const int synced = fs_.fsync(fd_);
  const int closed = fs_.close(fd_);
  fd_ = -1;
  if (synced < 0) throw NotDurableError(failure("make durable", path_, synced), is_full(synced));
  if (closed < 0) throw NotDurableError(failure("close", path_, closed), is_full(closed));
}

bool NewFile::publish(bool replace) {
  HAZE_CHECK(fd_ < 0, "publish before finish: ", path_);
  const int r = uninterrupted([&] { return fs_.rename(temporary_, path_, replace); });
  if (r == -EEXIST && !replace) return false;
  if (r < 0) throw RunError(failure("name", path_, r));
  named_ = true;
  const int synced = fs_.fsync_dir(directory_of(path_));
  if (synced < 0) throw RunError(failure("make durable the name", path_, synced));
  return true;
}

void write_file_atomically(FileSystem& fs, const std::string& path,
                           std::span<const std::string_view> parts) {
  std::uint64_t total = 0, at = 0;
  for (const std::string_view part : parts) total += part.size();
  NewFile file(fs, path);
  file.reserve(total);
  for (const std::string_view part : parts) {
    file.write(part.data(), part.size(), at);
    at += part.size();
  }
  file.finish();
  file.publish(true);
}

void write_file_atomically(FileSystem& fs, const std::string& path, std::string_view bytes) {
  write_file_atomically(fs, path, std::span(&bytes, 1));
}

std::string read_file(FileSystem& fs, const std::string& path, std::uint64_t max_bytes,
                      bool follow_link) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer; it means nothing for regular files.
  const int flags = O_RDONLY | O_NONBLOCK | (follow_link ? 0 : O_NOFOLLOW);
  const int fd = uninterrupted([&] { return fs.open(path, flags); });
  if (fd < 0) throw InputError(failure("open", path, fd));
  FileStatus status;
  std::int64_t r = fs.status(fd, status);
  std::string bytes, fault;
  if (r >= 0 && !status.regular()) fault = cat(path, ": not a regular file");
  if (r >= 0 && fault.empty() && status.size > max_bytes)
    fault = cat(path, ": ", status.size, " bytes; at most ", max_bytes, " are read");
  if (r >= 0 && fault.empty()) {
    bytes.resize(std::size_t(status.size));
    for (std::size_t at = 0; at < bytes.size(); at += std::size_t(r)) {
      r = uninterrupted([&] { return fs.pread(fd, bytes.data() + at, bytes.size() - at, at); });
      if (r == 0) fault = cat(path, ": became shorter while it was read");
      if (r <= 0) break;
    }
  }
  fs.close(fd);
  if (r < 0) throw InputError(failure("read", path, r));
  if (!fault.empty()) throw InputError(fault);
  return bytes;
}

void make_directories(FileSystem& fs, const std::string& path) {
  std::string refused;  // the last part that could not be made, and why
  for (std::size_t at = 0; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    const int r = fs.make_dir(part);
    // EROFS and EACCES are said of directories that exist, too: only the last part must succeed. If
    // it has no parent, the reason is what was said of that parent.
    if (r < 0 && r != -EEXIST && r != -ENOENT) refused = failure("make the directory", part, r);
    if (r < 0 && r != -EEXIST && at == std::string::npos)
      throw RunError(refused.empty() ? failure("make the directory", part, r) : refused);
    if (r < 0) continue;
    const int synced = fs.fsync_dir(directory_of(part));
    if (synced < 0) throw RunError(failure("make durable the directory", part, synced));
  }
  std::vector<std::string> names;
  if (const int r = fs.list(path, names); r < 0)
    throw RunError(failure("use the directory", path, r));
}

std::vector<std::string> remove_temporaries(FileSystem& fs, const std::string& directory,
                                            const std::function<bool(std::string_view)>& ours) {
  std::vector<std::string> names, removed;
  fs.list(directory, names);
  std::sort(names.begin(), names.end());
  for (const auto& name : names)
    if (const auto of = name_of_temporary(name); !of.empty() && ours(of))
      if (fs.unlink(directory + "/" + name) >= 0) removed.push_back(name);
  return removed;
}

void require_regular(FileSystem& fs, const std::string& path) {
  FileStatus status;
  if (fs.status_of(path, false, status) < 0 || status.regular()) return;
  throw InputError(cat(path, ": ",
                       status.kind == FileKind::link        ? "a symbolic link"
                       : status.kind == FileKind::directory ? "a folder"
                       : status.kind == FileKind::pipe      ? "a pipe"
                                                            : "a device",
                       "; in its place a regular file is needed"));
}

}  // namespace haze::engine
