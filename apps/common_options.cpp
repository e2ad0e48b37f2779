// SPDX-License-Identifier: MIT
#include "apps/common_options.h"

#include "kernels/base/check.h"

namespace haze::apps {

void CommonOptions::refuse(std::initializer_list<const char*> flags, const std::string& with,
                           const std::string& allowed) const {
  for (const char* flag : flags)
    if (given.contains(flag)) throw InputError(cat(flag, ": given with ", with, "; ", allowed));
}

}  // namespace haze::apps
