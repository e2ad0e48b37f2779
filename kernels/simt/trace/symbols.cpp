#include "kernels/simt/trace/symbols.h"

#include <cstdint>
#include <cstdio>
#include <link.h>
#include <unistd.h>

#include "kernels/common/check.h"

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
  bool is_a_helper() const {
    return path.find("/kernels/simt/") != std::string::npos || path.starts_with("/usr/") ||
           path.find("/kernels/common/") != std::string::npos;
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

}  // namespace

std::map<const void*, std::string> lines_of(const std::vector<const void*>& addresses) {
  static std::map<const void*, std::string> known;
  std::vector<const void*> wanted;
  for (const void* p : addresses)
    if (known.emplace(p, "?").second) wanted.push_back(p);
  const std::uintptr_t base = load_address();
  char program[4096];
  const ssize_t length = ::readlink("/proc/self/exe", program, sizeof program - 1);
  for (std::size_t first = 0; length > 0 && first < wanted.size(); first += 2000) {
    std::string command =
        cat("addr2line -i -a -e '", std::string(program, std::size_t(length)), "'");
    const std::size_t end = std::min(wanted.size(), first + 2000);
    char hex[32];
    for (std::size_t i = first; i < end; ++i) {  // a return address belongs to the call before it
      std::snprintf(hex, sizeof hex, " %lx",
                    reinterpret_cast<std::uintptr_t>(wanted[i]) - base - 1);
      command += hex;
    }
    std::vector<std::vector<Frame>> frames;
    for (std::string& line : output_of(command + " 2>/dev/null")) {
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

}  // namespace haze::simt
