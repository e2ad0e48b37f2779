// SPDX-License-Identifier: MIT
// memory_file_system.h — a FileSystem in memory: it records what is done to it, and any operation
// can be made to fail, to stop short, or to lie.
#pragma once
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <map>
#include <set>

#include "engine/files/file_system.h"

namespace haze::test {

/// One operation that changed something, or "saved": what the program was told is safe.
struct FileOperation {
  enum Kind {
    create,
    write,
    allocate,
    fsync,
    rename,
    unlink,
    fsync_dir,
    make_dir,
    lose,
    saved
  } kind;
  std::string path = "", to = "";  // to: the new name of a rename
  int inode = 0;
  std::uint64_t offset = 0;  // write; allocate: the size; saved: the step
  std::string bytes = "";    // write
};

/// What happens to one call instead of what should.
struct Fault {
  int error = 0;                   // returned, as -error, instead of doing anything
  std::size_t at_most = SIZE_MAX;  // bytes a read or write may do
  bool flip = false;               // a write stores one wrong bit and reports success
  bool lost = false;  // a close drops all the file's data from the device, later reads still see it
};

class MemoryFileSystem : public engine::FileSystem {
 public:
  struct Node {
    std::string bytes;
    int locked_by = -1;
    engine::FileKind kind = engine::FileKind::regular;
    std::uint64_t device = 1;
  };
  std::map<std::string, int> names;  // file -> inode
  std::map<int, Node> nodes;
  std::set<std::string> directories = {"/", "."};
  std::vector<FileOperation> log;
  std::uint64_t capacity = UINT64_MAX;  // bytes on the device
  bool can_allocate = true;             // fallocate is there
  std::size_t calls = 0;
  /// Asked before each call: its name, its number from 0, the path it is about.
  std::function<Fault(const std::string& call, std::size_t number, const std::string& path)> fault;

  void add(const std::string& path, const std::string& bytes) {
    names[path] = ++last_inode_;
    nodes[last_inode_].bytes = bytes;
  }
  /// What is no regular file: a link, with what it says; a device or a pipe, with what came in.
  void add(const std::string& path, engine::FileKind kind, const std::string& bytes = "",
           std::uint64_t device = 1) {
    add(path, bytes);
    nodes[last_inode_].kind = kind, nodes[last_inode_].device = device;
  }
  bool exists(const std::string& path) const { return names.count(path) > 0; }
  const std::string& bytes(const std::string& path) const { return nodes.at(names.at(path)).bytes; }
  std::size_t open_files() const { return open_.size(); }
  std::uint64_t used() const {
    std::uint64_t sum = 0;
    for (const auto& [path, inode] : names) sum += nodes.at(inode).bytes.size();
    return sum;
  }

  int open(const std::string& path, int flags) override {
    if (const Fault f = ask("open", path); f.error) return -f.error;
    const std::string file = flags & (O_NOFOLLOW | O_EXCL) ? path : behind_links(path);
    const bool there = names.count(file) > 0;
    if (there && (flags & O_EXCL)) return -EEXIST;
    if (there && nodes[names[file]].kind == engine::FileKind::link) return -ELOOP;
    if (!there && !(flags & O_CREAT)) return -ENOENT;
    if (!directories.count(parent(file))) return -ENOENT;
    if (!there) {
      add(file, "");
      log.push_back({FileOperation::create, file, "", last_inode_});
    }
    open_[++last_fd_] = {names[file], file};
    return last_fd_;
  }
  std::int64_t pread(int fd, void* to, std::size_t n, std::uint64_t offset) override {
    const Fault f = ask("pread", open_.at(fd).path);
    if (f.error) return -f.error;
    const std::string& bytes = nodes[open_[fd].inode].bytes;
    if (offset >= bytes.size()) return 0;
    const std::size_t done = std::min({n, bytes.size() - std::size_t(offset), f.at_most});
    std::memcpy(to, bytes.data() + offset, done);
    return std::int64_t(done);
  }
  std::int64_t pwrite(int fd, const void* from, std::size_t n, std::uint64_t offset) override {
    const Fault f = ask("pwrite", open_.at(fd).path);
    if (f.error) return -f.error;
    const int inode = open_[fd].inode;
    std::string& bytes = nodes[inode].bytes;
    const std::uint64_t grown = std::max<std::uint64_t>(bytes.size(), offset + n);
    if (used() - bytes.size() + grown > capacity) return -ENOSPC;
    std::string data(static_cast<const char*>(from), std::min(n, f.at_most));
    if (f.flip) data[data.size() / 2] = char(data[data.size() / 2] ^ 4);
    bytes.resize(std::max<std::size_t>(bytes.size(), std::size_t(offset) + data.size()));
    bytes.replace(std::size_t(offset), data.size(), data);
    log.push_back({FileOperation::write, open_[fd].path, "", inode, offset, data});
    return std::int64_t(data.size());
  }
  std::int64_t append(int fd, const void* from, std::size_t n) override {
    const Fault f = ask("append", open_.at(fd).path);
    if (f.error) return -f.error;
    nodes[open_[fd].inode].bytes.append(static_cast<const char*>(from), std::min(n, f.at_most));
    return std::int64_t(std::min(n, f.at_most));
  }
  int allocate(int fd, std::uint64_t size) override {
    if (const Fault f = ask("allocate", open_.at(fd).path); f.error) return -f.error;
    if (!can_allocate) return -EOPNOTSUPP;
    std::string& bytes = nodes[open_[fd].inode].bytes;
    if (used() - bytes.size() + size > capacity) return -ENOSPC;
    bytes.resize(std::max<std::size_t>(bytes.size(), std::size_t(size)));
    log.push_back({FileOperation::allocate, open_[fd].path, "", open_[fd].inode, size});
    return 0;
  }
  int status(int fd, engine::FileStatus& to) override {
    if (const Fault f = ask("status", open_.at(fd).path); f.error) return -f.error;
    to = status_of_inode(open_[fd].inode);
    return 0;
  }
  int status_of(const std::string& path, bool follow_link, engine::FileStatus& to) override {
    if (const Fault f = ask("status_of", path); f.error) return -f.error;
    const std::string file = follow_link ? behind_links(path) : path;
    if (directories.count(file)) return to = {.kind = engine::FileKind::directory}, 0;
    if (!names.count(file)) return -ENOENT;
    to = status_of_inode(names[file]);
    return 0;
  }
  int read_link(const std::string& path, std::string& to) override {
    if (const Fault f = ask("read_link", path); f.error) return -f.error;
    if (!names.count(path)) return -ENOENT;
    to = bytes(path);
    return 0;
  }
  int fsync(int fd) override {
    if (const Fault f = ask("fsync", open_.at(fd).path); f.error) return -f.error;
    log.push_back({FileOperation::fsync, open_[fd].path, "", open_[fd].inode});
    return 0;
  }
  int close(int fd) override {
    const Fault f = ask("close", open_.at(fd).path);
    const auto [inode, path] = open_[fd];
    if (f.lost) log.push_back({FileOperation::lose, path, "", inode});
    if (nodes[inode].locked_by == fd) nodes[inode].locked_by = -1;
    open_.erase(fd);  // gone even when close fails, as on Linux
    return -f.error;
  }
  int drop_cache(int fd) override { return -ask("drop_cache", open_.at(fd).path).error; }
  int lock(int fd) override {
    if (const Fault f = ask("lock", open_.at(fd).path); f.error) return -f.error;
    int& owner = nodes[open_[fd].inode].locked_by;
    if (owner >= 0 && owner != fd) return -EWOULDBLOCK;
    owner = fd;
    return 0;
  }
  int rename(const std::string& from, const std::string& to, bool replace) override {
    if (const Fault f = ask("rename", to); f.error) return -f.error;
    if (!names.count(from)) return -ENOENT;
    if (names.count(to) && !replace) return -EEXIST;
    log.push_back({FileOperation::rename, from, to, names[from]});
    names[to] = names[from];
    names.erase(from);
    return 0;
  }
  int unlink(const std::string& path) override {
    if (const Fault f = ask("unlink", path); f.error) return -f.error;
    if (!names.erase(path)) return -ENOENT;
    log.push_back({FileOperation::unlink, path});
    return 0;
  }
  int fsync_dir(const std::string& path) override {
    if (const Fault f = ask("fsync_dir", path); f.error) return -f.error;
    if (!directories.count(path)) return -ENOENT;
    log.push_back({FileOperation::fsync_dir, path});
    return 0;
  }
  int make_dir(const std::string& path) override {
    if (const Fault f = ask("make_dir", path); f.error) return -f.error;
    if (!directories.insert(path).second) return -EEXIST;
    log.push_back({FileOperation::make_dir, path});
    return 0;
  }
  int list(const std::string& path, std::vector<std::string>& to) override {
    if (const Fault f = ask("list", path); f.error) return -f.error;
    if (!directories.count(path)) return -ENOENT;
    for (const auto& [name, inode] : names)
      if (parent(name) == path) to.push_back(name.substr(name.rfind('/') + 1));
    return 0;
  }
  static std::string parent(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == 0 ? "/" : slash == path.npos ? "." : path.substr(0, slash);
  }

 private:
  struct Open {
    int inode;
    std::string path;
  };
  Fault ask(const char* call, const std::string& path) {
    const std::size_t number = calls++;
    return fault ? fault(call, number, path) : Fault{};
  }
  engine::FileStatus status_of_inode(int inode) const {
    const Node& node = nodes.at(inode);
    return {node.kind, node.bytes.size(), node.device, std::uint64_t(inode)};
  }
  /// A link that leads to itself is its own end.
  std::string behind_links(std::string path) const {
    for (int links = 0; links < 40; ++links) {
      const auto at = names.find(path);
      if (at == names.end() || nodes.at(at->second).kind != engine::FileKind::link) break;
      const std::string& says = nodes.at(at->second).bytes;
      path = says.starts_with('/') ? says : parent(path) + "/" + says;
    }
    return path;
  }
  std::map<int, Open> open_;
  int last_inode_ = 0, last_fd_ = 2;
};

}  // namespace haze::test
