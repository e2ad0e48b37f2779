// SPDX-License-Identifier: MIT
// jpeg.h — JPEG files in memory, by libjpeg-turbo.
#pragma once
#include <span>
#include <string>

#include "apps/image/image.h"

namespace haze::apps {

/// Decodes a JPEG, baseline or progressive, to 8-bit grey or RGB (CMYK is converted) and turns it
/// as its EXIF orientation says; nothing else of EXIF, and no colour profile, is looked at. `name`
/// stands for the file in messages. Refuses sides above kMostSide, more than kMostPixels or 100
/// scans, and any damage, also what other programs only warn of, such as a missing end: InputError.
Image decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name,
                  const SizeCheck& check = {});

/// The orientation, 1 to 8, in the content of an APP1 segment; 1 if it holds none that is valid.
int exif_orientation(std::span<const std::uint8_t> segment);

/// Decodes a PNG or a JPEG, told apart by their first bytes. InputError for everything else.
Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                   const SizeCheck& check = {});

}  // namespace haze::apps
