// SPDX-License-Identifier: MIT
#include "apps/version.h"

#include "tests/support/test.h"

namespace haze::apps {
namespace {
TEST(Version, HasThreeParts) {
  EXPECT_THAT(version(), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
}
}  // namespace
}  // namespace haze::apps
