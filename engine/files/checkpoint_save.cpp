// SPDX-License-Identifier: MIT
// checkpoint_save.cpp — the writer's protocol. The order of its steps is what makes a checkpoint
// survive; tests/files/checkpoint_crash_test.cpp shows for each what breaks without it.
#include <algorithm>
#include <bit>
#include <cstring>
#include <fcntl.h>

#include "engine/files/checkpoint_format.h"
#include "engine/files/new_file.h"
#include "engine/files/xxh3.h"

namespace haze::engine {
namespace {

/// A checkpoint ready to be written: header bytes, and data in the order of the file.
struct Image {
  std::string header;
  std::vector<SafetensorsTensor> tensors;
  std::uint64_t bytes = 0;
};

Image make_image(const CheckpointMeta& meta, std::span<const CheckpointTensor> tensors) {
  Image image;
  SafetensorsMetadata metadata = {
      {"format", kCheckpointFormat},
      {"step", std::to_string(meta.step)},
      {"seed", std::to_string(meta.seed)},
      {"version", meta.version},
      {"config", meta.config},
      {"config_hash", xxh3_128(meta.config.data(), meta.config.size())},
      {"dataset", meta.dataset},
      {"header_hash", std::string(kHashDigits, '0')},
  };
  if (!meta.classes.empty()) metadata["classes"] = meta.classes;
  if (meta.threads > 0) metadata["threads"] = std::to_string(meta.threads);
  for (const auto& t : tensors) {
    image.tensors.push_back({t.name, t.shape, t.values.data()});
    HAZE_CHECK(image.tensors.back().bytes() == t.values.size_bytes(), t.name, " has ",
               t.values.size(), " values");
    if (const auto at = first_nonfinite(t.values); at < t.values.size())
      throw RunError(cat("checkpoint of step ", meta.step, ": ", t.name, " holds ", t.values[at],
                         " at element ", at, "; only finite values are saved"));
    metadata["hash." + t.name] = xxh3_128(t.values.data(), t.values.size_bytes());
  }
  std::sort(image.tensors.begin(), image.tensors.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  image.header = make_safetensors_header(image.tensors, metadata);
  const std::string_view json = std::string_view(image.header).substr(8);
  const std::string hash = xxh3_128(json.data(), json.size());
  image.header.replace(8 + header_hash_at(json), kHashDigits, hash);
  image.bytes = image.header.size();
  for (const auto& t : image.tensors) image.bytes += t.bytes();
  return image;
}

/// Reads the file back, from the device where the system lets us, and compares it with memory.
void verify(FileSystem& fs, const std::string& path, const Image& image) {
  const auto fail = [&](const std::string& why) { throw NotDurableError(why); };
  const int fd = uninterrupted([&] { return fs.open(path, O_RDONLY | O_NOFOLLOW); });
  if (fd < 0) fail(failure("read back", path, fd));
  struct Closer {
    FileSystem& fs;
    int fd;
    ~Closer() { fs.close(fd); }
  } closer{fs, fd};
  fs.drop_cache(fd);
  FileStatus status;
  if (const int r = fs.status(fd, status); r < 0) fail(failure("read back", path, r));
  if (status.size != image.bytes)
    fail(cat("read back ", path, ": it has ", status.size, " bytes, ", image.bytes,
             " were written"));
  std::vector<char> block(std::min<std::uint64_t>(image.bytes, 4u << 20));
  std::uint64_t at = 0;
  const auto compare = [&](const void* written, std::uint64_t bytes) {
    for (const char* want = static_cast<const char*>(written); bytes > 0;) {
      const auto n = std::size_t(std::min<std::uint64_t>(bytes, block.size()));
      const auto r = uninterrupted([&] { return fs.pread(fd, block.data(), n, at); });
      if (r <= 0) fail(failure("read back", path, r < 0 ? r : -EIO));
      if (std::memcmp(want, block.data(), std::size_t(r)) != 0)
        fail(cat("read back ", path, ": other bytes than were written, near byte ", at));
      want += r;
      at += std::uint64_t(r);
      bytes -= std::uint64_t(r);
    }
  };
  compare(image.header.data(), image.header.size());
  for (const auto& t : image.tensors) compare(t.data, t.bytes());
}

}  // namespace

std::size_t first_nonfinite(std::span<const float> values) {
  const auto nonfinite = [](float v) {
    return (std::bit_cast<std::uint32_t>(v) & 0x7f800000u) == 0x7f800000u;
  };
  constexpr std::size_t block = 4096;  // no early exit inside, so that it vectorises
  for (std::size_t begin = 0; begin < values.size(); begin += block) {
    const std::size_t end = std::min(values.size(), begin + block);
    bool bad = false;
    for (std::size_t i = begin; i < end; ++i) bad |= nonfinite(values[i]);
    for (std::size_t i = begin; bad && i < end; ++i)
      if (nonfinite(values[i])) return i;
  }
  return values.size();
}

CheckpointWriter::CheckpointWriter(FileSystem& fs, std::string run,
                                   const CheckpointOptions& options)
    : fs_(fs), run_(std::move(run)), options_(options) {}

SaveReport CheckpointWriter::save(const CheckpointMeta& meta,
                                  std::span<const CheckpointTensor> tensors) {
  const Image image = make_image(meta, tensors);
  SaveReport report{checkpoint_path(run_, meta.step), image.bytes, {}};
  const auto write = [&] {
    NewFile file(fs_, report.path);
    file.reserve(image.bytes);
    std::uint64_t at = image.header.size();
    for (const auto& t : image.tensors) {
      file.write(t.data, t.bytes(), at);
      at += t.bytes();
    }
    // The header last: until now the length field is 0, which no reader takes for a whole file.
    file.write(image.header.data(), image.header.size(), 0);
    file.finish();
    if (options_.verify) verify(fs_, file.temporary(), image);
    // A name that is taken is a damaged checkpoint that was passed over at resume, or a step done
    // again: replacing is atomic, so one of the two is there at any time.
    if (file.publish(false)) return;
    file.publish(true);
    report.messages.push_back(cat("replaced ", report.path, ", which was there before"));
  };
  const auto write_durably = [&] {
    for (bool again = false;; again = true) {
      try {
        return write();
      } catch (const NotDurableError& e) {
        if (again && e.no_room) throw DiskFullError(e.what());
        if (again) throw;
        report.messages.push_back(cat(e.what(), "; written again"));
      }
    }
  };
  for (bool saved = false; !saved;) {
    try {
      write_durably();
      saved = true;
    } catch (const DiskFullError& e) {
      if (!options_.verify || !remove_oldest(meta.step, report.messages)) throw;
      report.messages.push_back(cat(e.what(), "; written again"));
    }
  }
  if (options_.verify) {
    verified_.insert(meta.step);
    remove_old(report.messages);
  }
  return report;
}

std::vector<std::uint64_t> CheckpointWriter::spare(std::optional<std::uint64_t> next) const {
  std::vector<std::uint64_t> steps = list_checkpoints(fs_, run_), spare;
  int newer_verified = 0, newer = 0;  // the latter with the next one
  if (next) {
    std::erase(steps, *next);
    newer = 1;
  }
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const bool keep = newer_verified < 2 || newer < std::max(options_.keep, 2) ||
                      pinned_.count(*step) ||
                      (options_.keep_every > 0 && *step % options_.keep_every == 0);
    if (!keep) spare.push_back(*step);
    newer_verified += int(verified_.count(*step));
    newer += int(verified_.count(*step));
  }
  return spare;
}

bool CheckpointWriter::remove(std::uint64_t step, std::vector<std::string>& messages) {
  const std::string path = checkpoint_path(run_, step);
  const int r = fs_.unlink(path);
  if (r < 0) messages.push_back(failure("remove", path, r));
  return r >= 0;
}

void CheckpointWriter::remove_old(std::vector<std::string>& messages) {
  try {
    bool removed = false;
    for (const std::uint64_t step : spare({})) removed |= remove(step, messages);
    if (removed) fs_.fsync_dir(run_ + "/checkpoints");
  } catch (const InputError& e) {  // cannot be listed: the checkpoint is saved all the same
    messages.push_back(e.what());
  }
}

bool CheckpointWriter::remove_oldest(std::uint64_t next, std::vector<std::string>& messages) {
  try {
    const auto steps = spare(next);
    if (steps.empty() || !remove(steps.back(), messages)) return false;
    messages.push_back(cat("removed ", checkpoint_path(run_, steps.back()),
                           " to make room: the next checkpoint would have taken its place"));
    fs_.fsync_dir(run_ + "/checkpoints");
    return true;
  } catch (const InputError& e) {
    messages.push_back(e.what());
    return false;
  }
}

}  // namespace haze::engine
