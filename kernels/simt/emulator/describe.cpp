// SPDX-License-Identifier: MIT
// describe.cpp — the texts of errors: where threads are, in ranges.
#include <cstring>
#include <map>

#include "kernels/simt/emulator/block.h"

namespace haze::simt {

std::string text_of(const Site& site) {
  if (!site.file) return "?";
  const char* slash = std::strrchr(site.file, '/');
  return cat(slash ? slash + 1 : site.file, ':', site.line);
}

bool same_place(const Site& a, const Site& b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

std::string describe_threads() {
  std::map<std::string, std::vector<int>> groups;
  for (const Thread& t : block.threads) {
    std::string where = "runnable";
    if (t.state == State::done) where = "returned";
    if (t.state == State::unstarted) where = "not started";
    if (t.state == State::at_barrier || t.state == State::in_warp_collective ||
        t.state == State::on_object)
      where = cat("waiting in ", t.waits_in, " at ", text_of(t.site));
    groups[where].push_back(t.linear);
  }
  std::string text;
  for (const auto& [where, threads] : groups) {
    text += "\n    threads ";
    for (std::size_t i = 0; i < threads.size();) {
      std::size_t last = i;
      while (last + 1 < threads.size() && threads[last + 1] == threads[last] + 1) ++last;
      if (i > 0) text += ',';
      text += std::to_string(threads[i]);
      if (last > i) text += '-' + std::to_string(threads[last]);
      i = last + 1;
    }
    text += ": " + where;
  }
  return text;
}

}  // namespace haze::simt
