// SPDX-License-Identifier: MIT
#include "apps/output_checks.h"

#include <algorithm>
#include <filesystem>

#include "apps/data/image_list.h"
#include "apps/output_files.h"
#include "apps/run_folder.h"
#include "engine/files/checkpoint.h"
#include "engine/files/output.h"
#include "kernels/base/check.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

namespace fs = std::filesystem;

struct Target {
  const OutputFile& output;
  std::string path;  // of one image where there are several
};

/// The paths that an input's value may mean: FILE, DIR, KIND:DIR#SPLIT, KIND:FILE, DATASET@NUMBER.
std::vector<std::string> paths_of(const std::string& value) {
  std::vector<std::string> paths = {value};
  if (const auto colon = value.find(':'); colon != value.npos)
    paths.push_back(value.substr(colon + 1));
  for (const char mark : {'@', '#'})
    for (std::size_t i = 0, n = paths.size(); i < n; ++i)
      if (const auto at = paths[i].rfind(mark); at != std::string::npos)
        paths.push_back(paths[i].substr(0, at));
  return paths;
}

/// Whether a command that is given the folder reads the file at `below` in it: a run's own files,
/// the images of a data set, or the files of MNIST and CIFAR-10.
bool is_read(const Input& input, const std::string& below) {
  const bool deep = below.find('/') != below.npos;
  if (input.flag == "--checkpoint")
    return below.starts_with("checkpoints/") || (!deep && is_run_file(below));
  return named_as_image(below) ||
         (!deep && (below.find("ubyte") != below.npos || below.ends_with(".bin")));
}

bool is_same(const std::string& a, const std::string& b) {
  engine::FileStatus x, y;
  return engine::disk().status_of(a, true, x) >= 0 && engine::disk().status_of(b, true, y) >= 0 &&
         x.regular() && x.device == y.device && x.inode == y.inode;
}

/// "" or what of the input the file at `path` is.
std::string overlap(const Input& input, const std::string& path) {
  std::error_code none;
  const std::string file = fs::canonical(path, none).string();
  if (none || !fs::is_regular_file(file, none)) return "";
  for (const std::string& from : paths_of(input.path)) {
    if (is_same(path, from)) return cat("it is ", input.flag, " ", input.path);
    const std::string folder = fs::canonical(from, none).string();
    if (none || !file.starts_with(folder + "/") || !fs::is_directory(folder, none)) continue;
    if (is_read(input, file.substr(folder.size() + 1)))
      return cat("it is a part of ", input.flag, " ", input.path);
  }
  return "";
}

/// The path with its links resolved as far as it is there.
std::string whole_path(const std::string& path) {
  std::error_code none;
  return fs::weakly_canonical(fs::absolute(path, none), none).string();
}

[[noreturn]] void refuse(const OutputFile& output, const std::string& why) {
  throw InputError(cat(output.flag, ": ", output.path, "; ", why));
}

void check_name(const Target& target) {
  const OutputKind kind = target.output.kind;
  const bool picture = kind == OutputKind::picture || kind == OutputKind::pictures;
  if (!picture && kind != OutputKind::tensors) return;
  const char* suffix = picture ? ".png" : ".safetensors";
  if (lower(fs::path(target.path).extension().string()) != suffix)
    refuse(target.output, cat("it will be a ", picture ? "PNG" : "safetensors",
                              " file: a name that ends in ", suffix));
}

void check_place(const Target& target) {
  try {
    if (target.output.kind == OutputKind::run)
      return engine::check_output_folder(engine::disk(), target.path);
    if (engine::output_place(engine::disk(), target.path).in_place) return;
    check_name(target);
    if (target.output.kind != OutputKind::log) engine::check_output(engine::disk(), target.path);
  } catch (const InputError& e) {
    if (std::string_view(e.what()).starts_with(target.output.flag)) throw;
    throw InputError(cat(target.output.flag, ": ", e.what()));
  }
}

/// The files that an output will replace; of a run, those that it would name itself.
std::vector<std::string> files_of(const Target& target) {
  if (target.output.kind != OutputKind::run) return {target.path};
  std::vector<std::string> files;
  for (const char* name : kRunFiles) files.push_back(target.path + "/" + name);
  return files;
}

}  // namespace

void check_files(const CommonOptions& common) {
  std::vector<Target> targets;
  for (const OutputFile& output : common.outputs) {
    if (output.path == "-" && output.kind != OutputKind::run) continue;
    targets.push_back({output, output.path});
    if (output.kind == OutputKind::pictures)
      if (const auto files = files_of_each(output.path, 1); !files.empty())
        targets.back().path = files[0];
  }
  for (const Target& target : targets) {
    check_place(target);
    if (target.output.kind == OutputKind::run) continue;
    for (const Input& input : common.inputs)
      if (const std::string what = overlap(input, target.path); !what.empty())
        refuse(target.output, what + ", which would be lost; another name");
  }
  for (auto a = targets.begin(); a != targets.end(); ++a)
    for (auto b = a + 1; b != targets.end(); ++b)
      for (const std::string& one : files_of(*a))
        for (const std::string& other : files_of(*b)) {
          engine::FileStatus status;  // a device takes both, one after the other
          const bool there = engine::disk().status_of(one, true, status) >= 0;
          if ((!there || status.regular()) &&
              (is_same(one, other) || whole_path(one) == whole_path(other)))
            refuse(b->output, cat("it is written by ", a->output.flag, " too; another name"));
        }
}

}  // namespace haze::apps
