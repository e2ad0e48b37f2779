// SPDX-License-Identifier: MIT
// animation.h — animated PNG (PNG, third edition, 11.3.5): programs that know only plain PNG show
// the first frame.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "apps/image/image.h"

namespace haze::apps {

struct AnimationOptions {
  int frame_ms = 100;  // how long a frame stays, 1 to 65535
  int last_ms = 2000;  // the last one: time to look at the result
  int loops = 0;       // 0: for ever
};

/// All frames of one size and number of channels (1 or 3), at least one. `recipe` as in encode_png.
std::vector<std::uint8_t> encode_animation(std::span<const Image> frames,
                                           const AnimationOptions& options,
                                           const std::string& recipe = {});

}  // namespace haze::apps
