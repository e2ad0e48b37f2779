// SPDX-License-Identifier: MIT
#include "apps/data/input_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/base/check.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

bool is_utf8(std::string_view s) {
  while (!s.empty()) {
    const std::size_t length = utf8_length(s);
    if (length == 0) return false;
    s.remove_prefix(length);
  }
  return true;
}

}  // namespace

std::string printable(std::string_view text) {
  const bool utf8 = is_utf8(text);
  const auto control = [](unsigned b) { return b < 0x20 || b == 0x7F; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned b = std::uint8_t(text[i]);
    const unsigned next = i + 1 < text.size() ? std::uint8_t(text[i + 1]) : 0;
    const bool c1 = b == 0xC2 && next < 0xA0;  // U+0080..U+009F are control characters too
    if (!control(b) && (b < 0x80 || (utf8 && !c1))) {
      out += char(b);
      continue;
    }
    const char* digits = "0123456789abcdef";
    for (const unsigned e : {b, next}) {
      ((out += "\\x") += digits[e >> 4]) += digits[e & 15];
      if (!(utf8 && c1)) break;
    }
    if (utf8 && c1) ++i;
  }
  return out;
}

InputFile::InputFile(const std::string& path, std::uint64_t limit, bool follow_link)
    : name_(printable(path)) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow_link ? 0 : O_NOFOLLOW);
  fd_ = path.find('\0') == path.npos ? ::open(path.c_str(), flags) : (errno = EINVAL, -1);
  if (fd_ < 0)
    throw InputError(cat(name_, ": ", std::strerror(errno), "; a readable file is needed"));
  struct stat info {};
  const char* wrong = nullptr;
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode))
    wrong = ": not a regular file; folders, devices and pipes are not read";
  size_ = std::uint64_t(std::max<off_t>(info.st_size, 0));
  if (wrong || size_ > limit) {
    ::close(fd_);
    if (wrong) throw InputError(name_ + wrong);
    throw InputError(cat(name_, ": ", size_, " bytes; at most ", limit, " are allowed"));
  }
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::read_at(std::uint64_t offset, std::span<std::uint8_t> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_, out.data(), out.size(), off_t(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw InputError(cat(name_, ": ", std::strerror(errno), " at byte ", offset));
    if (got == 0)
      throw InputError(cat(name_, ": ends at byte ", offset, "; ", out.size(), " more are needed"));
    offset += std::uint64_t(got);
    out = out.subspan(std::size_t(got));
  }
}

std::string InputFile::first() const {
  std::string bytes(std::size_t(std::min<std::uint64_t>(size_, 16)), '\0');
  read_at(0, {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

std::vector<std::uint8_t> read_file(const std::string& path, std::uint64_t limit,
                                    bool follow_link) {
  const InputFile file(path, limit, follow_link);
  std::vector<std::uint8_t> bytes(file.size());
  file.read_at(0, bytes);
  return bytes;
}

}  // namespace haze::apps
