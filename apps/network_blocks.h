// SPDX-License-Identifier: MIT
// network_blocks.h — a network as a person reads it: block by block.
#pragma once
#include <string>
#include <vector>

#include "model/network.h"

namespace haze::apps {

struct NetworkBlock {
  std::string name;         // what its parameters' names begin with
  std::vector<int> output;  // [height, width, channels]; [channels] where there is no image
  std::size_t parameters = 0;
};

/// In the order of computation. height and width are those of the image; 0: not known.
std::vector<NetworkBlock> blocks_of(const model::Network& network, int height, int width);

/// "16x16x64", or "256".
std::string shape_text(const NetworkBlock& block);

}  // namespace haze::apps
