// SPDX-License-Identifier: MIT
// aliases.h — the words that other trainers have for haze's configuration keys.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "apps/config/keys.h"

namespace haze::apps {

/// The question about a word that is no key: "did you mean train.learning_rate?" for lr, train.lr,
/// --lr and learning_rate alike; "" where nothing is near. Of the keys of that family, or of all.
std::string did_you_mean(std::string_view word, std::optional<model::Family> family);

/// The key alone, where exactly that other word of it is known, not a slip of the finger; else "".
std::string key_by_another_name(std::string_view word, std::optional<model::Family> family);

}  // namespace haze::apps
