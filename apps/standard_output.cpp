// SPDX-License-Identifier: MIT
#include "apps/standard_output.h"

#include <cstdarg>
#include <cstdio>
#include <unistd.h>

#include "apps/data/input_file.h"
#include "engine/files/file_system.h"
#include "kernels/base/check.h"
#include "kernels/base/text.h"

namespace haze::apps {

void print(std::string_view text) {
  std::string escaped;
  for (const std::string_view line : split(text, '\n')) {
    if (!escaped.empty() || line.data() != text.data()) escaped += '\n';
    escaped += printable(line);
  }
  std::fwrite(escaped.data(), 1, escaped.size(), stdout);
}

void print_line(std::string_view text) { print(printable(text) + "\n"); }

void print_formatted(const char* format, ...) {
  va_list values, again;
  va_start(values, format);
  va_copy(again, values);
  std::string text(std::size_t(std::vsnprintf(nullptr, 0, format, values)) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), format, again);
  va_end(again);
  va_end(values);
  text.pop_back();
  print(text);
}

void print_bytes(std::span<const std::uint8_t> bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size())
    throw RunError("standard output: could not be written");
}

void flush_standard_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    throw RunError("standard output: could not be written; is the disk full?");
}

bool is_standard_output(const std::string& path) {
  engine::FileStatus named, open;
  if (engine::disk().status_of(path, true, named) < 0 ||
      engine::disk().status(STDOUT_FILENO, open) < 0)
    return false;
  const bool takes_both = open.kind == engine::FileKind::character_device && !isatty(STDOUT_FILENO);
  return named.device == open.device && named.inode == open.inode && !takes_both;
}

}  // namespace haze::apps
