// SPDX-License-Identifier: MIT
#include "engine/files/output.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>

#include "engine/files/new_file.h"

namespace haze::engine {
namespace {

constexpr int kMostLinks = 40;  // as the kernel follows
constexpr std::size_t kLongestName = 255, kBlock = 4u << 20;

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw InputError(cat("cannot write ", path, ": ", why));
}

std::string text_of(int result) { return std::strerror(-result); }

/// Whether a link is the kernel's own, of an open descriptor: what it says need not be a path.
bool of_descriptor(FileSystem& fs, const FileStatus& link) {
  FileStatus proc;
  return fs.status_of("/proc", true, proc) >= 0 && proc.device == link.device;
}

/// The nearest folder at or above `folder` that is there.
std::string existing(FileSystem& fs, const std::string& path, std::string folder) {
  for (FileStatus status;;) {
    const int r = fs.status_of(folder, true, status);
    if (r >= 0 && status.kind != FileKind::directory) refuse(path, folder + " is no folder");
    if (r >= 0) return folder;
    const std::string above = directory_of(folder);
    if (r != -ENOENT || above == folder) refuse(path, cat(folder, ": ", text_of(r)));
    folder = above;
  }
}

/// Creates a file in the folder and removes it again.
void try_folder(FileSystem& fs, const std::string& path, const std::string& folder) {
  const std::string probe = temporary_name(folder + "/haze");
  const int fd =
      uninterrupted([&] { return fs.open(probe, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW); });
  if (fd == -EEXIST) return;  // of another thread: it could be made
  if (fd < 0) refuse(path, cat(folder, ": ", text_of(fd)));
  fs.close(fd);
  fs.unlink(probe);
}

void write_into(FileSystem& fs, const std::string& path, std::span<const std::string_view> parts) {
  // Without O_CREAT or O_TRUNC: what is written into is there, and loses nothing.
  const int fd = uninterrupted([&] { return fs.open(path, O_WRONLY | O_APPEND | O_NOCTTY); });
  if (fd < 0) throw RunError(failure("open", path, fd));
  std::int64_t done = 0;
  for (std::string_view part : parts)
    while (!part.empty() && done >= 0) {
      done =
          uninterrupted([&] { return fs.append(fd, part.data(), std::min(part.size(), kBlock)); });
      if (done == 0) done = -EIO;
      part.remove_prefix(done > 0 ? std::size_t(done) : 0);
    }
  const int closed = fs.close(fd);
  if (done < 0) throw RunError(failure("write", path, done));
  if (closed < 0) throw RunError(failure("close", path, closed));
}

}  // namespace

OutputPlace output_place(FileSystem& fs, const std::string& path) {
  if (path.empty()) throw InputError("cannot write a file without a name");
  if (path.ends_with('/')) refuse(path, "a folder's name; a file's is needed");
  OutputPlace place{path};
  for (int links = 0;; ++links) {
    FileStatus status;
    const int r = fs.status_of(place.path, false, status);
    if (r == -ENOENT) break;
    if (r < 0) refuse(path, text_of(r));
    if (status.kind != FileKind::link) {
      if (status.kind == FileKind::directory) refuse(path, "a folder; a file's name is needed");
      if (status.kind == FileKind::block_device)
        refuse(path, "a block device; a file, a pipe or a character device is needed");
      place.in_place = !status.regular();
      break;
    }
    if (of_descriptor(fs, status)) {
      place.in_place = true;
      break;
    }
    if (links == kMostLinks) refuse(path, text_of(-ELOOP));
    std::string target;
    if (const int read = fs.read_link(place.path, target); read < 0) refuse(path, text_of(read));
    place.path = target.starts_with('/') ? target : directory_of(place.path) + "/" + target;
  }
  if (place.path.size() - (place.path.rfind('/') + 1) > kLongestName)
    refuse(path, text_of(-ENAMETOOLONG));
  return place;
}

void check_output(FileSystem& fs, const std::string& path) {
  const OutputPlace place = output_place(fs, path);
  if (!place.in_place) try_folder(fs, path, existing(fs, path, directory_of(place.path)));
}

void check_output_folder(FileSystem& fs, const std::string& path) {
  try_folder(fs, path, existing(fs, path, path));
}

void write_output(FileSystem& fs, const std::string& path,
                  std::span<const std::string_view> parts) {
  const OutputPlace place = output_place(fs, path);
  if (place.in_place) return write_into(fs, place.path, parts);
  make_directories(fs, directory_of(place.path));
  write_file_atomically(fs, place.path, parts);
}

}  // namespace haze::engine
