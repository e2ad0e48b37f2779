// SPDX-License-Identifier: MIT
// Target: the content of an APP1 segment. Nothing in it is refused; what is wrong counts as
// upright.
#include "apps/image/jpeg.h"
#include "tests/fuzz/exif_rules.h"

namespace haze::fuzz {
namespace {

void one_input(Input input) {
  const int got = apps::exif_orientation(input), want = expected_orientation(input);
  promise(got == want, "orientation ", got, ", want ", want);
}

const Target kTarget("exif", one_input);

}  // namespace
}  // namespace haze::fuzz
