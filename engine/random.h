// SPDX-License-Identifier: MIT
// random.h — the Philox streams (RandomKey::stream) that haze uses, each named once.
#pragma once
#include <cstdint>

#include "kernels/base/philox.h"

namespace haze::engine::streams {

constexpr std::uint32_t kInit = 1;           // initial weights; item = index of the parameter
constexpr std::uint32_t kOrder = 2;          // order of the data; step = epoch
constexpr std::uint32_t kTimestep = 3;       // t of a training image; item = its index in the batch
constexpr std::uint32_t kNoise = 4;          // eps of a training image
constexpr std::uint32_t kFlip = 5;           // random horizontal flip
constexpr std::uint32_t kPrior = 6;          // x_T of a sampled image; item = its id
constexpr std::uint32_t kSampler = 7;        // z of a sampling step; step = its index in the chain
constexpr std::uint32_t kSynthetic = 8;      // images and points drawn by the program
constexpr std::uint32_t kSelfCondition = 9;  // whether a training step self-conditions; item 0
constexpr std::uint32_t kKnown = 10;         // noise of the known part of an inpainted image
constexpr std::uint32_t kLabelDrop = 11;     // is a training image's label withheld? item as kNoise
constexpr std::uint32_t kLabel = 12;       // class of a sampled image, where it is drawn; item = id
constexpr std::uint32_t kResample = 13;    // z of a step back to more noise (RePaint)
constexpr std::uint32_t kBound = 14;       // noise that a likelihood is measured with; step = t
constexpr std::uint32_t kDirections = 40;  // of sliced distances; item = index of the direction
constexpr std::uint32_t kDropout = 1000;   // + index of the dropout layer

}  // namespace haze::engine::streams
