// SPDX-License-Identifier: MIT
#include "apps/output_files.h"

#include <algorithm>
#include <filesystem>

#include "apps/data/image_list.h"
#include "apps/standard_output.h"
#include "engine/files/new_file.h"
#include "engine/files/output.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

bool names_folder(const std::string& out) {
  std::error_code none;
  return out.ends_with('/') || std::filesystem::is_directory(out, none);
}

/// What the names of the images have before and behind their numbers.
struct Numbered {
  std::string before, behind;
  int width = 0;  // digits at least

  std::string name(int k) const {
    std::string number = std::to_string(k);
    number.insert(0, std::size_t(std::max(0, width - int(number.size()))), '0');
    return before + number + behind;
  }
  bool names(const std::string& path) const {
    if (path.size() <= before.size() + behind.size() || !path.starts_with(before) ||
        !path.ends_with(behind))
      return false;
    const std::size_t digits = path.size() - before.size() - behind.size();
    return leading_digits(path.substr(before.size(), digits)).size() == digits;
  }
};

std::optional<Numbered> numbered(const std::string& out) {
  std::string name = out;
  if (names_folder(out)) {
    while (name.size() > 1 && name.ends_with('/')) name.pop_back();
    name += name == "/" ? "%05d.png" : "/%05d.png";
  }
  const std::size_t percent = name.find('%');
  if (percent == name.npos) return {};
  const std::string digits(leading_digits(std::string_view(name).substr(percent + 1)));
  const std::string rest = name.substr(percent + 1 + digits.size());
  const auto width = parse_number<int>("0" + digits, 0, 20);  // without digits: 0
  if (!width || !rest.starts_with('d') || rest.find('%') != rest.npos)
    throw InputError(cat("--out: ", out, "; one %d or %05d, for the number of the image"));
  return Numbered{name.substr(0, percent), rest.substr(1), *width};
}

}  // namespace

void write_output(const std::string& path, const std::vector<std::uint8_t>& bytes) {
  if (path == "-") return print_bytes(bytes);
  const std::string_view parts[] = {{reinterpret_cast<const char*>(bytes.data()), bytes.size()}};
  engine::write_output(engine::disk(), path, parts);
}

void write_output(const std::string& path, std::vector<engine::SafetensorsTensor> tensors,
                  const engine::SafetensorsMetadata& metadata) {
  if (path == "-")
    return write_output(path, engine::safetensors_bytes(std::move(tensors), metadata));
  engine::write_safetensors(engine::disk(), path, std::move(tensors), metadata);
}

std::vector<std::string> files_of_each(const std::string& out, int n) {
  std::vector<std::string> files;
  const auto names = numbered(out);
  for (int k = 0; names && k < n; ++k) files.push_back(names->name(k));
  return files;
}

std::vector<std::string> earlier_images(const std::string& out, int n, bool overwrite) {
  std::vector<std::string> earlier, entries;
  const auto names = numbered(out);
  if (!names) return {};
  const auto slash = names->before.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : names->before.substr(0, slash + 1);
  engine::disk().list(folder.empty() ? "." : folder, entries);
  std::ranges::sort(entries);
  for (const std::string& entry : entries) {
    if (names->names(folder + entry))
      earlier.push_back(folder + entry);
    else if (names_folder(out) && named_as_image(entry) && !entry.starts_with('.'))
      throw InputError(cat("--out: ", out, "; there are other images in it, such as ", entry,
                           "; a new or empty folder, or names that tell them apart: ", folder,
                           "sample-%05d.png"));
  }
  if (!earlier.empty() && !overwrite)
    throw InputError(cat("--out: ", out, "; ", earlier.size(),
                         earlier.size() == 1 ? " image is" : " images are",
                         " there already, such as ", earlier[0],
                         "; another folder or name, or --overwrite to replace them"));
  const auto files = files_of_each(out, n);
  std::erase_if(earlier, [&](const std::string& path) {
    return std::ranges::find(files, path) != files.end();
  });
  return earlier;
}

}  // namespace haze::apps
