// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/files/new_file.h"

namespace haze::engine {
namespace {
constexpr std::uint64_t kMaxMetrics = std::uint64_t(1) << 32;
constexpr std::size_t kMaxRow = 1 << 16;
}  // namespace

LineWriter::LineWriter(FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {
  // O_NONBLOCK: of a pipe without a reader the open fails, and does not wait.
  constexpr int flags = O_CREAT | O_APPEND | O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  fd_ = uninterrupted([&] { return fs_.open(path_, flags); });
  if (fd_ < 0) require_regular(fs_, path_);
  if (fd_ < 0) throw RunError(failure("open", path_, fd_));
  FileStatus status;
  if (fs_.status(fd_, status) >= 0 &&
      (status.regular() || status.kind == FileKind::character_device))
    return;
  fs_.close(fd_);
  require_regular(fs_, path_);
  throw InputError(cat(path_, ": not a regular file; in its place one is needed"));
}

LineWriter::~LineWriter() { fs_.close(fd_); }

std::string LineWriter::append(std::string_view line) {
  const std::string row = cat(rest_, line, '\n');
  const auto done = uninterrupted([&] { return fs_.append(fd_, row.data(), row.size()); });
  const std::size_t written = done < 0 ? 0 : std::size_t(done);
  if (written > rest_.size()) {  // the line is there, or begun
    rest_ = row.substr(written);
    if (lost_ == lost_before_) return "";
    const std::uint64_t missing = lost_ - std::exchange(lost_before_, lost_);
    return cat(path_, " is written again; ", missing, missing == 1 ? " line is" : " lines are",
               " missing");
  }
  rest_.erase(0, written);
  if (lost_++ != lost_before_) return "";
  // A disk that fills up inside a line cuts it short without an error.
  return failure("append to", path_, done < 0 ? done : -ENOSPC) +
         "; lines are left out as long as that lasts";
}

std::size_t filter_lines(FileSystem& fs, const std::string& path,
                         const std::function<bool(std::string_view)>& keep) {
  FileStatus status;
  if (fs.status_of(path, false, status) == -ENOENT) return 0;
  require_regular(fs, path);
  const std::string all = read_file(fs, path, kMaxMetrics, false);
  std::string kept;
  std::size_t dropped = 0;
  for (std::size_t at = 0; at < all.size();) {
    const auto end = all.find('\n', at);
    const std::string_view line(all.data() + at,
                                (end == std::string::npos ? all.size() : end) - at);
    if (end != std::string::npos && keep(line))
      kept.append(line) += '\n';
    else
      ++dropped;
    at += line.size() + 1;
  }
  if (dropped > 0) write_file_atomically(fs, path, kept);
  return dropped;
}

std::size_t drop_metrics_after(FileSystem& fs, const std::string& path, std::uint64_t step) {
  return filter_lines(fs, path, [step](std::string_view line) {
    if (line.size() > kMaxRow) return false;
    const auto row = nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
    if (!row.is_object()) return false;
    const auto at = row.find("step");
    return at != row.end() && at->is_number_unsigned() && at->get<std::uint64_t>() <= step;
  });
}

}  // namespace haze::engine
