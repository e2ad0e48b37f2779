// SPDX-License-Identifier: MIT
#include "kernels/simt/trace/symbols.h"

#include <cstdint>
#include <cstdio>
#include <link.h>
#include <string_view>
#include <unistd.h>

#include "kernels/base/check.h"

namespace haze::simt {
namespace {

/// Where the program was loaded: a position-independent one, not where its addresses say.
std::uintptr_t load_address() {
  std::uintptr_t base = 0;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        *static_cast<std::uintptr_t*>(out) = info->dlpi_addr;
        return 1;  // the first is the program itself
      },
      &base);
  return base;
}

struct Frame {
  std::string path, line;
  std::string short_text() const { return path.substr(path.rfind('/') + 1) + ":" + line; }
  /// What every kernel is written in: the emulator, kernels/base, the files of kernels/cuda itself.
  bool is_a_helper() const {
    constexpr std::string_view kCuda = "/kernels/cuda/";
    const auto cuda = path.find(kCuda);
    return path.starts_with("/usr/") || path.find("/kernels/simt/") != path.npos ||
           path.find("/kernels/base/") != path.npos ||
           (cuda != path.npos && path.find('/', cuda + kCuda.size()) == path.npos);
  }
};

std::string text_of(const std::vector<Frame>& frames) {  // innermost first
  if (frames.empty()) return "?";
  const auto& own = [&]() -> const Frame& {
    for (const Frame& f : frames)
      if (!f.is_a_helper()) return f;
    return frames.front();
  }();
  const Frame* helper = nullptr;  // the one that the kernel called
  for (const Frame& f : frames) {
    if (&f == &own) break;
    helper = &f;
  }
  const std::string text = own.short_text();
  return helper && !helper->path.starts_with("/usr/") ? text + " (" + helper->short_text() + ")"
                                                      : text;
}

std::vector<std::string> output_of(const std::string& command) {
  std::vector<std::string> lines;
  if (FILE* f = ::popen(command.c_str(), "r")) {
    char text[4096];
    while (std::fgets(text, sizeof text, f)) {
      lines.emplace_back(text);
      while (!lines.back().empty() && lines.back().back() == '\n') lines.back().pop_back();
    }
    ::pclose(f);
  }
  return lines;
}

std::string addr2line(const char* options) {
  char program[4096];
  const ssize_t length = ::readlink("/proc/self/exe", program, sizeof program);
  return length < 0 ? "false"
                    : cat("addr2line ", options, " -e '", std::string(program, std::size_t(length)),
                          "' 2>/dev/null");
}

std::string hex(std::uintptr_t address) {
  char text[32];
  std::snprintf(text, sizeof text, " %lx", address);
  return text;
}

}  // namespace

std::map<const void*, std::string> lines_of(const std::vector<const void*>& addresses) {
  static std::map<const void*, std::string> known;
  std::vector<const void*> wanted;
  for (const void* p : addresses)
    if (known.emplace(p, "?").second) wanted.push_back(p);
  const std::uintptr_t base = load_address();
  for (std::size_t first = 0; first < wanted.size(); first += 2000) {
    std::string command = addr2line("-i -a");
    const std::size_t end = std::min(wanted.size(), first + 2000);
    for (std::size_t i = first; i < end; ++i)  // a return address belongs to the call before it
      command += hex(reinterpret_cast<std::uintptr_t>(wanted[i]) - base - 1);
    std::vector<std::vector<Frame>> frames;
    for (std::string& line : output_of(command)) {
      if (line.starts_with("0x") && line.find(':') == std::string::npos) {
        frames.emplace_back();
        continue;
      }
      if (const auto note = line.find(" ("); note != std::string::npos) line.resize(note);
      const auto colon = line.rfind(':');
      if (!frames.empty() && colon != std::string::npos && !line.starts_with("??"))
        frames.back().push_back({line.substr(0, colon), line.substr(colon + 1)});
    }
    for (std::size_t i = 0; i < frames.size() && first + i < end; ++i)
      known[wanted[first + i]] = text_of(frames[i]);
  }
  return known;
}

std::string function_at(const void* p, const std::string& otherwise) {
  static std::map<const void*, std::string> known;
  if (!p) return otherwise;
  std::string& name = known[p];
  if (!name.empty()) return name;
  const auto lines =
      output_of(addr2line("-f -C") + hex(reinterpret_cast<std::uintptr_t>(p) - load_address()));
  std::string text = lines.empty() || lines[0].starts_with("??") ? otherwise : lines[0];
  for (const char* space : {"(anonymous namespace)::", "haze::", "kernels::", "simt::"})
    for (std::size_t at; (at = text.find(space)) != std::string::npos;)
      text.erase(at, std::string(space).size());
  int depth = 0;  // of <>: the parameters and the type of the result lie outside
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    depth += (text[i] == '<') - (text[i] == '>');
    if (depth == 0 && text[i] == ' ') begin = i + 1;
    if (depth == 0 && text[i] == '(') text.resize(i);
  }
  return name = text.substr(begin);
}

}  // namespace haze::simt
