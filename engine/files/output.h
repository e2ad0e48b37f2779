// SPDX-License-Identifier: MIT
// output.h — what a user asks to have written, under a path that the user gave.
//
// A regular file is replaced, whole or not at all. A symbolic link stays: what it leads to is
// replaced, by a new file beside it. What is neither (a terminal, /dev/null, a pipe, a descriptor
// such as /dev/fd/3) is written into. Files that haze names itself, in a run's folder, never follow
// a link: those are NewFile's.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "engine/files/file_system.h"

namespace haze::engine {

struct OutputPlace {
  std::string path;  // the file to replace or create, behind all links; or what is written into
  bool in_place = false;  // written into, byte after byte, and never replaced
};

/// Looks, and changes nothing. InputError naming the path for a folder, a block device, links
/// without end, and what cannot be looked at.
OutputPlace output_place(FileSystem& fs, const std::string& path);

/// Whether write_output could begin: tries to create a file where it would, and removes it again;
/// of folders that are not there yet, in the first one above that is. InputError naming path and
/// reason if not. Creates no folder; what is written into is not opened.
void check_output(FileSystem& fs, const std::string& path);

/// The same of a folder that is to be written into. InputError also if it is no folder.
void check_output_folder(FileSystem& fs, const std::string& path);

/// Writes the parts one after another, making the folders that are missing. RunError naming the
/// path if they cannot be written; a regular file is then what it was before.
void write_output(FileSystem& fs, const std::string& path, std::span<const std::string_view> parts);

}  // namespace haze::engine
