// SPDX-License-Identifier: MIT
// dataset_rules.h — what holds of every data set.
#pragma once
#include "apps/data/dataset.h"

namespace haze::fuzz {

void hold_to_promises(const apps::Dataset& set);

}  // namespace haze::fuzz
