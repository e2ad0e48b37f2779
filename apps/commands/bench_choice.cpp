// SPDX-License-Identifier: MIT
#include "apps/commands/bench_choice.h"

#include <algorithm>
#include <optional>
#include <set>

#include "kernels/base/text.h"

namespace haze::apps {
namespace {

engine::KernelShape parse_kernel_shape(const std::string& text) {
  engine::KernelShape shape;
  std::optional<int> co;
  std::set<std::string_view> given;
  for (const std::string_view part : split(text, ',')) {
    if (part.empty() && part.data() == text.data() + text.size()) break;  // a comma at the end
    const std::size_t equals = std::min(part.find('='), part.size());
    const std::string_view key = part.substr(0, equals);
    const auto value = parse_number<int>(part.substr(std::min(equals + 1, part.size())));
    if (!value || *value < 1 || (key != "n" && key != "h" && key != "c" && key != "co"))
      throw InputError(cat("--shape: ", part, "; n=, h=, c= or co= and a whole number from 1"));
    if (!given.insert(key).second)
      throw InputError(cat("--shape: ", text, "; ", key, " is given twice, each once"));
    if (key == "n") shape.n = *value;
    if (key == "h") shape.h = *value;
    if (key == "c") shape.c = *value;
    if (key == "co") co = value;
  }
  shape.co = co.value_or(shape.c);
  engine::check_kernel_shape(shape);
  return shape;
}

}  // namespace

std::vector<engine::KernelShape> kernel_shapes(const std::vector<std::string>& wanted,
                                               const engine::KernelShape& usual) {
  std::vector<engine::KernelShape> shapes;
  for (const std::string& text : wanted) {
    const engine::KernelShape shape = parse_kernel_shape(text);
    if (std::ranges::find(shapes, shape) == shapes.end()) shapes.push_back(shape);
  }
  if (shapes.empty()) shapes.push_back(usual);
  return shapes;
}

std::vector<ChosenKernel> choose_kernels(const char* flag, const std::vector<std::string>& wanted) {
  const auto all = engine::kernel_case_names();
  std::vector<ChosenKernel> chosen;
  const auto add = [&](const std::string& kernel, const std::string& version) {
    auto at = std::ranges::find(chosen, kernel, &ChosenKernel::kernel);
    if (at == chosen.end()) at = chosen.insert(at, {kernel, {}});
    if (version.empty())
      at->all = true;
    else if (std::ranges::find(at->versions, version) == at->versions.end())
      at->versions.push_back(version);
  };
  const auto take = [&](auto fits) {
    bool found = false;
    for (const std::string& name : all) {
      const std::size_t slash = name.find('/');
      if (!fits(name, slash != name.npos)) continue;
      add(name.substr(0, slash), slash == name.npos ? "" : name.substr(slash + 1));
      found = true;
    }
    return found;
  };
  if (wanted.empty()) take([](const std::string&, bool version) { return !version; });
  for (const std::string& name : wanted)
    if (!take([&](const std::string& known, bool version) {
          return known == name || (!version && known.starts_with(name + "."));
        }) &&
        !take([&](const std::string& known, bool version) {
          return !version && known.starts_with(name);
        }))
      throw InputError(cat(flag, ": ", name, "; haze bench kernels --list names them"));
  return chosen;
}

std::vector<engine::Peer> chosen_peers(const ChosenKernel& chosen, const engine::KernelCase& at) {
  std::vector<engine::Peer> peers;
  for (const std::string& version : chosen.versions) {
    const auto peer = std::ranges::find(at.peers, version, &engine::Peer::impl);
    if (peer == at.peers.end())
      throw InputError(
          cat(chosen.kernel, '/', version,
              "; a version for --device cuda that this device, precision or shape does not have"));
    peers.push_back(*peer);
  }
  return chosen.all ? at.peers : peers;
}

}  // namespace haze::apps
