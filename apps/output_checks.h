// SPDX-License-Identifier: MIT
// output_checks.h — what is known of a command's files before it begins to work: that its results
// can be written, under fitting names, and over none of its inputs.
#pragma once
#include "apps/common_options.h"

namespace haze::apps {

/// Looks at all files that the flags name (CommonOptions::inputs and outputs). InputError naming
/// flag and path for an output
///   whose name ends in something else than what it will hold: .png, .safetensors;
///   that cannot be written: a folder, one that may not be written into, a name too long;
///   that is one of the inputs, compared by device and inode: the file, or a file that is read in
///   the folder or data set that is named;
///   that is another output too.
/// Standard output, devices and pipes take anything.
void check_files(const CommonOptions& common);

}  // namespace haze::apps
