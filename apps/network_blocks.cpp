// SPDX-License-Identifier: MIT
#include "apps/network_blocks.h"

namespace haze::apps {
namespace {

/// The block that a parameter belongs to: its name up to the last index, or its first component.
std::string block_name(std::string name) {
  if (const auto inner = name.find(".to_out."); inner != name.npos) name.resize(inner);
  std::size_t end = name.find('.');
  if (name.starts_with("middle.")) end = name.find('.', end + 1);
  for (std::size_t from = name.find('.'); from != name.npos;) {
    const std::size_t to = name.find('.', from + 1);
    const std::string part = name.substr(from + 1, to == name.npos ? to : to - from - 1);
    if (!part.empty() && part.find_first_not_of("0123456789") == part.npos) end = to;
    from = to;
  }
  return name.substr(0, end);
}

/// Blocks whose output is a vector per image: the time's, and fully connected layers.
bool is_vector(const std::string& block) {
  return block.starts_with("time_emb") || block.starts_with("linears.") || block.starts_with("fc");
}

/// Look-up tables: a row per class or time.
bool is_table(const std::string& block) {
  return block.starts_with("class_embedding") || block.starts_with("step_embeddings");
}

}  // namespace

std::vector<NetworkBlock> blocks_of(const model::Network& network, int height, int width) {
  std::vector<NetworkBlock> blocks;
  bool has_norm = false;
  for (const engine::Parameter& p : network.parameters().all()) {
    const std::string name = block_name(p.name);
    if (blocks.empty() || blocks.back().name != name) {
      blocks.push_back({name, {}, 0});
      has_norm = false;
    }
    NetworkBlock& block = blocks.back();
    block.parameters += p.size();
    if (p.name.find("norm") != p.name.npos) has_norm = true;
    if (p.shape.rank() < 2 && !block.output.empty()) continue;
    const int channels = p.shape[0];
    if (is_vector(name) || is_table(name)) {
      block.output = {is_table(name) ? p.shape[1] : channels};
      continue;
    }
    // A resampling block is one convolution and nothing else: labml's down.2.conv and up.3.conv,
    // diffusers' downsamplers and upsamplers.
    const bool resamples = !has_norm && p.shape.rank() == 4 && p.name.ends_with("conv.weight");
    if (resamples && name.find("up") == 0) height *= 2, width *= 2;
    if (resamples && name.find("down") == 0) height /= 2, width /= 2;
    block.output = {height, width, channels};
  }
  return blocks;
}

std::string shape_text(const NetworkBlock& block) {
  if (block.output.size() == 1) return std::to_string(block.output[0]);
  const auto& o = block.output;
  const std::string side = o[0] > 0 ? cat(o[0], "x", o[1], "x") : "";
  return side + std::to_string(o[2]);
}

}  // namespace haze::apps
