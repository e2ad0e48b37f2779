// SPDX-License-Identifier: MIT
// mismatches.h — why the tensors of a file are not a network's weights, and whose they seem to be.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "model/weights.h"

namespace haze::model {

/// Everything that keeps the tensors `given`, by name, from being the network's weights, in one line
/// that starts with a blank; "" if nothing. Of the missing, the extra and the misshapen it says how
/// many there are and shows eight; then a prefix that all names carry, and the system whose names
/// these are.
std::string mismatches(const engine::Parameters& parameters,
                       const std::map<std::string, const HostTensor*>& given);

/// The system whose networks name their tensors so, as "lucidrains (denoising-diffusion-pytorch)",
/// whatever stands before the names; "" if it is none that is known.
std::string system_of(const std::vector<std::string>& names);

}  // namespace haze::model
