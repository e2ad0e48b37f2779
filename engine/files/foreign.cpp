// SPDX-License-Identifier: MIT
#include "engine/files/foreign.h"

#include "kernels/base/text.h"

namespace haze::engine {
namespace {

bool begins(std::string_view text, std::string_view start) {
  return lower(text.substr(0, start.size())) == start;
}

}  // namespace

std::string foreign_content(std::string_view first) {
  if (first.starts_with("version h"))  // version https://git-lfs.github.com/spec/v1
    return "a pointer of Git LFS, not the file itself; git lfs pull fetches that";
  if (first.starts_with("\x1f\x8b")) return "packed by gzip; unpack it with gunzip";
  if (first.starts_with("PK\x03\x04")) return "a zip archive; unpack it";
  if (first.starts_with("7z\xbc\xaf\x27\x1c") || first.starts_with("Rar!\x1a\x07") ||
      first.starts_with("\xfd"
                        "7zXZ") ||
      first.starts_with("BZh") || first.starts_with("\x28\xb5\x2f\xfd"))
    return "an archive or packed; unpack it";
  while (!first.empty() && std::string_view(" \t\r\n\xef\xbb\xbf").find(first[0]) != first.npos)
    first.remove_prefix(1);
  if (begins(first, "<!doct") || begins(first, "<html") || begins(first, "<head"))
    return "an HTML page, as a server sends one in place of a file; download it again";
  if (first.starts_with("<?xml")) return "XML text; download the file again";
  if (first.starts_with("{"))
    return "JSON text, as the index of a model in several files is (*.index.json)";
  return "";
}

std::string foreign_hint(std::string_view first) {
  const std::string content = foreign_content(first);
  return content.empty() ? "" : "; it is " + content;
}

}  // namespace haze::engine
