// SPDX-License-Identifier: MIT
// symbols.h — addresses of code as lines of source.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace haze::simt {

/// "pointwise.cu:18", or "attention.cu:80 (block_sum, vec.h:44)" where a helper was inlined: the
/// innermost line that is a kernel's own, then the innermost line. For return addresses; one run of
/// addr2line for all that are new.
std::map<const void*, std::string> lines_of(const std::vector<const void*>& addresses);

/// "function_of_one<Swish, float, 4>": the function that begins at p, without namespaces and parameters; `otherwise`
/// if that cannot be found out.
std::string function_at(const void* p, const std::string& otherwise);

}  // namespace haze::simt
