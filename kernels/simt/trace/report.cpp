// SPDX-License-Identifier: MIT
// report.cpp — a trace in words and tables.
#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "kernels/base/check.h"
#include "kernels/simt/trace/symbols.h"
#include "kernels/simt/trace/trace.h"
#include "kernels/simt/trace/tracer.h"

namespace haze::simt {
namespace {

constexpr std::size_t kLines = 12;  // of source, per kernel

[[gnu::format(printf, 1, 2)]] std::string print(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

std::string size(std::uint64_t bytes) {
  if (bytes < 10000) return print("%lu B", bytes);
  if (bytes < 10000 * 1024ul) return print("%.1f KiB", double(bytes) / 1024);
  return print("%.1f MiB", double(bytes) / (1024 * 1024));
}

std::string extent(const dim3& d) {
  std::string text = cat(d.x);
  if (d.y > 1 || d.z > 1) text += cat("x", d.y);
  if (d.z > 1) text += cat("x", d.z);
  return text;
}

double ratio(std::uint64_t a, std::uint64_t b) { return b ? double(a) / double(b) : 0; }

/// "16.0 KiB   1.00x   1.00": bytes, how often the buffer's size, sectors over their ideal.
std::string direction(const Traffic& t, std::size_t bytes, std::uint64_t launches) {
  if (t.requested == 0) return print("%12s %7s %8s", "-", "", "");
  return print("%12s %6.2fx %7.2fx", size(t.requested).c_str(),
               ratio(t.requested, bytes * launches), ratio(t.sectors, t.ideal_sectors));
}

std::string line_text(const Line& l) {
  const bool shared = l.space == Space::shared;
  std::string text =
      print("    %-40s %-6s %-8s %2u B %10lu %8.2f %8.2f %7.1fx", l.where.c_str(),
            shared ? "shared" : "global", l.what.c_str(), l.bytes, l.instructions,
            ratio(l.transactions, l.instructions), ratio(l.ideal, l.instructions), l.worst);
  if (l.excess() > 0)
    text += shared ? print("  <- bank conflicts: %lu wavefronts too many", l.excess())
                   : print("  <- not coalesced: %lu sectors too many", l.excess());
  return text + "\n";
}

std::string launch_text(const Tracer& t, const LaunchRecord& r, std::vector<Line> lines) {
  std::string text = cat("\n", function_at(r.entry, r.kernel), "\n  ", r.count,
                         r.count == 1 ? " launch" : " launches", " of grid ", extent(r.grid),
                         ", block ", extent(r.block), "; ");
  if (r.dynamic_shared) text += size(r.dynamic_shared) + " of dynamic shared memory; ";
  text += cat(r.barriers, r.barriers == 1 ? " barrier" : " barriers", " per block");
  if (r.mma) text += cat("; ", r.mma, " mma");
  if (!r.parts.empty())
    text += print("\n    %-24s %10s %12s %7s %8s %12s %7s %8s\n", "buffer", "size", "read",
                  "of size", "sectors", "written", "of size", "sectors");
  for (const auto& [index, traffic] : r.parts) {
    const BufferTraffic& b = const_cast<Tracer&>(t).buffers.parts()[index].total;
    text += print("    %-24s %10s ", b.name.c_str(), size(b.bytes).c_str()) +
            direction(traffic.read, b.bytes, r.count) + " " +
            direction(traffic.written, b.bytes, r.count) + "\n";
  }
  if (lines.empty()) return text;
  std::ranges::stable_sort(lines, [](const Line& a, const Line& b) {
    return a.excess() != b.excess() ? a.excess() > b.excess() : a.transactions > b.transactions;
  });
  text += print("    %-40s %-20s %10s %8s %8s %8s\n", "line", "access of a thread", "warp instr",
                "each", "ideal", "worst");
  for (std::size_t i = 0; i < lines.size() && i < kLines; ++i) text += line_text(lines[i]);
  if (lines.size() > kLines) text += cat("    ... and ", lines.size() - kLines, " lines more\n");
  return text;
}

constexpr const char* kLegend =
    "\nHow to read this. Of a buffer: the bytes that instructions asked for, how often that is "
    "the\n"
    "buffer's size (what is read once shows 1.00x), and how many 32-byte sectors were fetched for\n"
    "each one needed (1.00x: every byte that travels is used). Of a line: how many transactions "
    "one\n"
    "instruction of a warp took, how many it would take at best, and the worst instruction in\n"
    "multiples of its best. A transaction is a wavefront of shared memory (32 banks of 4 bytes) "
    "or\n"
    "a sector of device memory. No cache is modelled, and nothing here is a time.\n";

}  // namespace

std::string Trace::text() const {
  std::string text;
  const auto found = findings();
  if (found.empty())
    text += cat("No findings in ", launches(), launches() == 1 ? " launch" : " launches",
                ": no race, no read of memory that nobody had written.\n");
  for (const Finding& f : found) {
    text += cat(name_of(f.mistake), " at ", f.where, f.earlier.empty() ? "" : " with " + f.earlier,
                ", in ", f.kernel, f.count == 1 ? "" : cat(", ", f.count, " times"), "\n    ",
                f.text, "\n");
  }
  const auto all = lines_by_record();
  for (std::size_t i = 0; i < all.size(); ++i)
    text += launch_text(*tracer_, tracer_->records[i], all[i]);
  return text + kLegend;
}

}  // namespace haze::simt
