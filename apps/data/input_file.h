// SPDX-License-Identifier: MIT
// input_file.h — foreign files, read with limits known beforehand. Nothing is mapped into memory
// (a file that shrinks would end the process) and nothing is allocated on a file's word alone.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <zlib.h>

namespace haze::apps {

/// Foreign text for a message or a class name: control characters, and all bytes outside ASCII if
/// the text is not UTF-8, come out as \xNN, so that a name cannot steer the terminal.
std::string printable(std::string_view text);

/// A regular file, open for reading. Refuses folders, devices, pipes and files above `limit` bytes.
class InputFile {
 public:
  InputFile(const std::string& path, std::uint64_t limit, bool follow_link = true);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& name() const { return name_; }  // printable
  std::uint64_t size() const { return size_; }       // when it was opened
  /// Fills `out` from `offset`; InputError if the file ends before or cannot be read.
  void read_at(std::uint64_t offset, std::span<std::uint8_t> out) const;
  /// The first bytes, at most 16, which tell what a file is.
  std::string first() const;

 private:
  std::string name_;
  std::uint64_t size_ = 0;
  int fd_ = -1;
};

/// All bytes of a regular file.
std::vector<std::uint8_t> read_file(const std::string& path, std::uint64_t limit,
                                    bool follow_link = true);

/// The content of a file in order, inflated if it begins as a gzip file does (RFC 1952), whatever its
/// name.
class ByteSource {
 public:
  ByteSource(const std::string& path, std::uint64_t limit);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  const std::string& name() const { return file_.name(); }
  /// The first bytes of the file as it is, packed or not: at most 16.
  std::string_view first() const { return first_; }
  /// No more bytes than this can still come: what a header promises must not exceed it.
  std::uint64_t most_left() const;
  /// The next out.size() bytes; InputError if there are fewer or they are damaged.
  void read(std::span<std::uint8_t> out);
  /// InputError unless everything has been read: no more content, checksum and length of a .gz
  /// right, nothing behind it.
  void expect_end();

 private:
  /// Inflates up to out.size() bytes; fewer at the end of the stream.
  std::size_t inflate_some(std::span<std::uint8_t> out);

  InputFile file_;
  std::string first_;
  std::uint64_t position_ = 0;  // next byte of the file to fetch
  std::uint64_t produced_ = 0;  // bytes handed out
  std::unique_ptr<z_stream> zlib_;
  std::vector<std::uint8_t> block_;
  bool ended_ = false;
};

}  // namespace haze::apps
