// SPDX-License-Identifier: MIT
#include "engine/debugging.h"

#include <cstdlib>
#include <string_view>

#include "kernels/base/check.h"

namespace haze::engine {

Debugging debugging() {
  Debugging d;
  const char* const set = std::getenv("HAZE_DEBUG");
  std::string_view rest = set ? set : "";
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find(','));
    rest.remove_prefix(word.size() < rest.size() ? word.size() + 1 : rest.size());
    if (word == "no-graphs")
      d.graphs = false;
    else if (word == "streamed-data")
      d.resident_data = false;
    else if (word == "separate-memory")
      d.arena = d.graphs = false;
    else
      throw InputError(cat("HAZE_DEBUG=", set,
                           "; no-graphs, streamed-data, separate-memory, with commas between"));
  }
  return d;
}

}  // namespace haze::engine
