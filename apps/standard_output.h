// SPDX-License-Identifier: MIT
// standard_output.h — all that goes to standard output. Names and metadata of foreign files are part
// of it: what could command a terminal, or look like another line, comes out as \xNN.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace haze::apps {

/// Whole lines: control characters are escaped but for the line breaks.
void print(std::string_view text);
/// One line, without its line break: those inside are escaped too.
void print_line(std::string_view text);
/// print of what snprintf makes of its arguments.
[[gnu::format(printf, 1, 2)]] void print_formatted(const char* format, ...);
/// A file's bytes, for --out -. RunError if they cannot be written.
void print_bytes(std::span<const std::uint8_t> bytes);
/// Hands on what is still held back; RunError if anything could not be written.
void flush_standard_output();

/// Whether an output of that name would go where standard output goes: /dev/stdout, or the file,
/// pipe or terminal itself. A device that is no terminal, such as /dev/null, has room for both.
bool is_standard_output(const std::string& path);

}  // namespace haze::apps
