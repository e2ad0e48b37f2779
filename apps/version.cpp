// SPDX-License-Identifier: MIT
#include "apps/version.h"

#include <haze_commit.h>  // written by cmake/commit.cmake at each build

namespace haze::apps {

const char* version() { return HAZE_VERSION; }
std::string full_version() {
  return HAZE_COMMIT == std::string("unknown") ? HAZE_VERSION : HAZE_VERSION "+" HAZE_COMMIT;
}
const char* commit() { return HAZE_COMMIT; }

}  // namespace haze::apps
