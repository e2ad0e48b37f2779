// SPDX-License-Identifier: MIT
// resize.h — from one size to another with a filter as wide as a pixel of the result, so that
// making an image smaller averages and does not alias.
#pragma once
#include <cstdint>

namespace haze::apps {

/// Scales `from` [from_h, from_w, channels] by one factor until it covers to_h x to_w, cuts around
/// the centre and writes `to` [to_h, to_w, channels] (overwritten). The filter is a triangle, of
/// radius max(1, source pixels per result pixel): bilinear with antialiasing. Arithmetic is in
/// integers, so every machine gets the same bytes;
/// they differ from the real-valued filter by less than 1.
void resize_and_crop(const std::uint8_t* from, int from_h, int from_w, int channels,
                     std::uint8_t* to, int to_h, int to_w);

}  // namespace haze::apps
