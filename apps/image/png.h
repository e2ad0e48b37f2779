// SPDX-License-Identifier: MIT
// png.h — PNG files in memory, by libpng.
#pragma once
#include <optional>
#include <span>
#include <string>

#include "apps/image/image.h"

namespace haze::apps {

/// InputError for a picture with a side above a million pixels: libpng writes and reads no such one.
void check_png_size(std::int64_t height, std::int64_t width);

/// An 8-bit grey or RGB PNG of `image`. A `recipe` that is not empty (UTF-8) is kept uncompressed
/// in an iTXt chunk under the key `haze`.
std::vector<std::uint8_t> encode_png(const Image& image, const std::string& recipe = {});

/// Decodes any PNG to 8-bit grey or RGB: 16 bits are rounded to 8, palettes resolved, transparency
/// laid over white; gamma and colour profiles are ignored. `name` stands for the file in messages.
/// Refuses sides above kMostSide, more than kMostPixels, and any damage: InputError.
Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name,
                 const SizeCheck& check = {});

/// The text that encode_png has put into a PNG; nothing if there is none. Only the frame of chunks
/// is read, not the picture. InputError if that frame is damaged.
std::optional<std::string> png_recipe(std::span<const std::uint8_t> bytes, const std::string& name);

}  // namespace haze::apps
