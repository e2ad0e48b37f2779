// SPDX-License-Identifier: MIT
// version.h — what this build is called.
#pragma once
#include <string>

namespace haze::apps {

const char* version();
/// "0.3.1+ab12cd": version and commit, for what must be reproducible.
std::string full_version();
/// The commit it was built from, "+dirty" when the tree had changes; "unknown" outside a checkout.
const char* commit();

}  // namespace haze::apps
