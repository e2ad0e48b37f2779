// SPDX-License-Identifier: MIT
// crash_states.h — every state in which a power cut may leave a disk, from a recorded sequence of
// operations. A bounded model after ALICE (Pillai et al., OSDI 2014).
//
//   data     between two fsyncs of a file, each write is on the device, half of it is, or it is
//   not,
//            in any combination; so is the size that allocate set. What was never written is zero.
//   names    ordered: creations, renames, removals and new directories become durable in the order
//            they were done (ext4, xfs); weak: in any combination (POSIX promises no more).
//   fsync    of a file makes its data durable, not its name; of a directory, the names in it.
#pragma once
#include <functional>

#include "tests/support/memory_file_system.h"

namespace haze::test {

enum class Names { ordered, weak };

class CrashStates {
 public:
  /// Calls visit(disk after the crash, last step reported as saved or 0) for every distinct state
  /// after every prefix of `log`, until it returns false. Returns how many there were.
  static std::size_t visit(const std::vector<FileOperation>& log, Names order,
                           const std::function<bool(MemoryFileSystem&, std::uint64_t)>& visit) {
    CrashStates model(order, visit);
    model.at_crash();
    for (const auto& op : log) {
      if (!model.go_on_) break;
      model.apply(op);
      model.at_crash();
    }
    return model.seen_.size();
  }

 private:
  using Visitor = std::function<bool(MemoryFileSystem&, std::uint64_t)>;
  CrashStates(Names order, const Visitor& visit) : order_(order), visit_(visit) {}

  static std::string directory_of(const FileOperation& op) {
    return MemoryFileSystem::parent(op.path);
  }

  void apply(const FileOperation& op) {
    using K = FileOperation::Kind;
    switch (op.kind) {
      case K::write:
      case K::allocate:
        unsynced_[op.inode].push_back(op);
        break;
      case K::fsync:
        for (const auto& w : unsynced_[op.inode]) write(data_[op.inode], w, w.bytes.size());
        unsynced_[op.inode].clear();
        break;
      case K::lose:  // the server never got it
        data_[op.inode].assign(data_[op.inode].size(), '\0');
        break;
      case K::fsync_dir: {
        std::vector<FileOperation> rest;
        for (const auto& n : unsynced_names_)
          if (directory_of(n) == op.path)
            name(names_, n);
          else
            rest.push_back(n);
        unsynced_names_ = rest;
        break;
      }
      case K::saved:
        saved_ = op.offset;
        break;
      default:
        unsynced_names_.push_back(op);
    }
  }

  static void write(std::string& bytes, const FileOperation& op, std::size_t n) {
    const std::size_t end = std::size_t(op.offset) + (op.kind == FileOperation::write ? n : 0);
    if (bytes.size() < end) bytes.resize(end);
    if (op.kind == FileOperation::write) bytes.replace(std::size_t(op.offset), n, op.bytes, 0, n);
  }

  struct NameTable {
    std::map<std::string, int> files;
    std::set<std::string> directories = {"/", "."};
    auto operator<=>(const NameTable&) const = default;
  };
  static void name(NameTable& table, const FileOperation& op) {
    switch (op.kind) {
      case FileOperation::create:
        table.files[op.path] = op.inode;
        break;
      case FileOperation::make_dir:
        table.directories.insert(op.path);
        break;
      case FileOperation::unlink:
        table.files.erase(op.path);
        break;
      default:  // rename is atomic, whether or not the old name was durable
        table.files.erase(op.path);
        table.files[op.to] = op.inode;
    }
  }

  void at_crash() {
    std::set<NameTable> tables;
    const std::size_t n = unsynced_names_.size();
    for (std::size_t subset = 0; go_on_ && subset < (std::size_t(1) << n); ++subset) {
      if (order_ == Names::ordered && (subset & (subset + 1)) != 0) continue;  // prefixes only
      NameTable table = names_;
      for (std::size_t i = 0; i < n; ++i)
        if (subset >> i & 1) name(table, unsynced_names_[i]);
      // A name whose folder is not durable cannot be reached.
      std::erase_if(table.directories, [&](const auto& d) { return !reachable(table, d); });
      std::erase_if(table.files, [&](const auto& f) {
        return !table.directories.count(MemoryFileSystem::parent(f.first));
      });
      tables.insert(table);
    }
    for (const auto& table : tables) {
      if (!go_on_) return;
      std::vector<std::pair<std::string, int>> files(table.files.begin(), table.files.end());
      contents(table, files, 0, {});
    }
  }
  static bool reachable(const NameTable& table, const std::string& directory) {
    return directory == "/" || directory == "." ||
           (table.directories.count(MemoryFileSystem::parent(directory)) &&
            reachable(table, MemoryFileSystem::parent(directory)));
  }

  /// For each file in turn, every combination of what became of its unsynced writes.
  void contents(const NameTable& table, const std::vector<std::pair<std::string, int>>& files,
                std::size_t at, std::map<std::string, std::string> so_far) {
    if (at == files.size()) return judge(table, so_far);
    const auto& [path, inode] = files[at];
    const auto& pending = unsynced_[inode];
    std::size_t combinations = 1;
    for (std::size_t i = 0; i < pending.size(); ++i) combinations *= 3;
    std::set<std::string> distinct;
    for (std::size_t c = 0; go_on_ && c < combinations; ++c) {
      std::string bytes = data_[inode];
      for (std::size_t i = 0, rest = c; i < pending.size(); ++i, rest /= 3)
        if (rest % 3 > 0) write(bytes, pending[i], pending[i].bytes.size() / (3 - rest % 3));
      if (!distinct.insert(bytes).second) continue;
      so_far[path] = bytes;
      contents(table, files, at + 1, so_far);
    }
  }

  void judge(const NameTable& table, const std::map<std::string, std::string>& files) {
    std::string key = std::to_string(saved_);
    for (const auto& directory : table.directories) key += '\0' + directory;
    for (const auto& [path, bytes] : files) key += '\1' + path + '\2' + bytes;
    if (!seen_.insert(key).second) return;
    MemoryFileSystem disk;
    disk.directories = table.directories;
    for (const auto& [path, bytes] : files) disk.add(path, bytes);
    go_on_ = visit_(disk, saved_);
  }

  Names order_;
  const Visitor& visit_;
  std::map<int, std::string> data_;                     // durable content by inode
  std::map<int, std::vector<FileOperation>> unsynced_;  // writes since the file's last fsync
  NameTable names_;                                     // durable names
  std::vector<FileOperation> unsynced_names_;
  std::uint64_t saved_ = 0;
  std::set<std::string> seen_;
  bool go_on_ = true;
};

}  // namespace haze::test
