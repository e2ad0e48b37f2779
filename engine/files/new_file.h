// SPDX-License-Identifier: MIT
// new_file.h — files that are there whole or not at all, and the few other things done to files.
#pragma once
#include <cerrno>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "engine/files/file_system.h"
#include "kernels/base/check.h"

namespace haze::engine {

/// The device would not keep what was written (fsync, close or read-back failed): the file must be
/// written again from memory, because Linux has dropped the pages that failed.
struct NotDurableError : RunError {
  explicit NotDurableError(const std::string& text, bool for_room = false)
      : RunError(text), no_room(for_room) {}
  bool no_room;  // for want of it: some file systems look for room only now
};

/// There is no room (the disk or the user's share of it is full): what may be mended by removing
/// something, or by waiting.
struct DiskFullError : RunError {
  using RunError::RunError;
};

/// A file written under a temporary name in its own directory, made durable, then named. Until
/// publish() returns, nobody sees anything under `path`. Every failure is a RunError that names the
/// path, a DiskFullError where there is no room; an object that dies before publish() removes its temporary file.
class NewFile {
 public:
  /// Creates DIR/.NAME.tmp.<pid> for path DIR/NAME (never through a link, never over a live file).
  NewFile(FileSystem& fs, std::string path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  /// Reserves the final size, so that a full disk shows before anything is written.
  void reserve(std::uint64_t bytes);
  /// Writes all of it, whatever the pieces; blocks of 4 MiB.
  void write(const void* from, std::uint64_t bytes, std::uint64_t offset);
  /// fsync and close. Throws NotDurableError.
  void finish();
  /// Gives the file its name and makes the name durable; false if the name is taken and `replace`
  /// is not set (the temporary file remains then, and publish may be called again).
  bool publish(bool replace);
  const std::string& temporary() const { return temporary_; }

 private:
  FileSystem& fs_;
  std::string path_, temporary_;
  int fd_ = -1;
  bool named_ = false;
};

/// Replaces or creates `path` with these bytes: reserve,
/// write, fsync, rename, fsync of the directory.
void write_file_atomically(FileSystem& fs, const std::string& path, std::string_view bytes);
/// The same with the parts one after another.
void write_file_atomically(FileSystem& fs, const std::string& path,
                           std::span<const std::string_view> parts);

/// The whole of a regular file. InputError if it is absent, not regular or above `max_bytes`, or a
/// link that is not to be followed.
std::string read_file(FileSystem& fs, const std::string& path, std::uint64_t max_bytes,
                      bool follow_link = true);

/// mkdir -p; the new names are durable on return. RunError if it cannot be.
void make_directories(FileSystem& fs, const std::string& path);

/// DIR/.NAME.tmp.<pid> for DIR/NAME: under which a file is written until it is whole. Of a long
/// NAME only the beginning, so that any name that may exist may be written.
std::string temporary_name(const std::string& path);

/// Removes what killed writers left in a directory (.NAME.tmp.<pid>), of the names that are `ours`.
/// Only for the owner of the run lock. Returns the names removed; an absent directory is empty.
std::vector<std::string> remove_temporaries(FileSystem& fs, const std::string& directory,
                                            const std::function<bool(std::string_view)>& ours);

/// InputError if there is something at `path` and it is not a regular file: a link, a pipe, a
/// device. What haze appends to is in a folder that may have come from anywhere.
void require_regular(FileSystem& fs, const std::string& path);

/// Appends lines to a file that is worth having and not worth ending for, each by a single write, so
/// that rows of two writers never mix and a crash tears at most the last. Not fsynced: rows after
/// the last checkpoint are dropped at resume.
class LineWriter {
 public:
  /// Creates the file or goes on at its end; a device, such as /dev/null, is written into.
  /// InputError for anything else: no link is followed, and no pipe is waited for.
  /// RunError if it cannot be opened.
  LineWriter(FileSystem& fs, std::string path);
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;
  /// `line` without its line break. One that cannot be written (a full disk) is lost; one that was
  /// written in part is completed by the next call. Returns what is to be said: at the first line
  /// lost why, at the first one after that how many are missing, else "".
  [[nodiscard]] std::string append(std::string_view line);
  /// Lines lost so far.
  std::uint64_t lost() const { return lost_; }

 private:
  FileSystem& fs_;
  std::string path_;
  int fd_ = -1;
  std::string rest_;                          // of a line that was written in part
  std::uint64_t lost_ = 0, lost_before_ = 0;  // the latter when lines were last written
};

/// Rewrites a file of lines without those that `keep` refuses and without an unfinished last line.
/// Returns how many were dropped; an absent file has none. InputError if it is not regular.
std::size_t filter_lines(FileSystem& fs, const std::string& path,
                         const std::function<bool(std::string_view)>& keep);

/// For resuming at `step`: drops the rows of metrics.jsonl that are torn, are not a JSON object
/// with an unsigned "step", or whose step is larger. Returns how many.
std::size_t drop_metrics_after(FileSystem& fs, const std::string& path, std::uint64_t step);

/// "DIR/NAME" -> "DIR"; "NAME" -> ".".
std::string directory_of(const std::string& path);
/// "cannot <what> <path>: <text of errno>", as a RunError's text; result is -errno.
std::string failure(const char* what, const std::string& path, std::int64_t result);

/// Calls until the result is not -EINTR: for calls that a signal may interrupt.
template <class F>
auto uninterrupted(F call) {
  auto r = call();
  while (r == -EINTR) r = call();
  return r;
}

}  // namespace haze::engine
