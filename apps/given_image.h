// SPDX-License-Identifier: MIT
// given_image.h — single pictures that a command is given: a file, or one image of a data set.
#pragma once
#include <string>

#include "apps/image/image.h"

namespace haze::apps {

/// `where`: a PNG or JPEG file, or DATASET@NUMBER, as in mnist:DIR@7. Scaled until it covers
/// height x width, cut around the centre, with that many channels. InputError naming the file for
/// what cannot be read or is smaller.
Image open_given_image(const std::string& where, int height, int width, int channels);

/// A picture of exactly that size, as grey. InputError for another size.
Image open_mask(const std::string& path, int height, int width);

}  // namespace haze::apps
