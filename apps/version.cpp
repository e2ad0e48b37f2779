#include "apps/version.h"

#include <haze_commit.h>  // written by cmake/commit.cmake at each build

namespace haze::apps {

const char* version() { return HAZE_VERSION; }
const char* commit() { return HAZE_COMMIT; }

}  // namespace haze::apps
