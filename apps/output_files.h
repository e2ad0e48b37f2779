// SPDX-License-Identifier: MIT
// output_files.h — results as files: one, or one for each image.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/files/safetensors.h"

namespace haze::apps {

/// Writes to `path` as engine::write_output does, making its folder; "-" is standard output.
void write_output(const std::string& path, const std::vector<std::uint8_t>& bytes);
/// The same for tensors, in a safetensors file.
void write_output(const std::string& path, std::vector<engine::SafetensorsTensor> tensors,
                  const engine::SafetensorsMetadata& metadata = {{"format", "pt"}});

/// The files of n images where each has its own: `out` is a folder, or a name with %d or %05d in
/// it, which becomes 0, 1, ... Empty where `out` is one file for all. InputError for another %.
std::vector<std::string> files_of_each(const std::string& out, int n);

/// Files that are there already under names which `out` gives to images, whatever their number:
/// those of an earlier call. They and new ones are not to lie together, as if of one call. InputError
/// unless `overwrite`, and for a folder with other images in it; else those that the n new ones will
/// not replace, to be removed once these are written.
std::vector<std::string> earlier_images(const std::string& out, int n, bool overwrite);

}  // namespace haze::apps
