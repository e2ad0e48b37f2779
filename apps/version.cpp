#include "apps/version.h"

namespace haze::apps {
const char* version() { return "0.1.0"; }
}  // namespace haze::apps
