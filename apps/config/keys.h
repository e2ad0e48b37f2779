// SPDX-License-Identifier: MIT
// keys.h — the one table of configuration keys: parsing, ranges, --set, --print-config,
// suggestions, help and the JSON Schema all read it.
#pragma once
#include <span>
#include <string_view>

#include "apps/config/config.h"

namespace haze::apps {

/// The place of an enumeration's value, which is read and written by the number of its word.
struct Choice {
  void* place;
  std::span<const std::string_view> words;
  std::size_t (*get)(const void* place);
  void (*set)(void* place, std::size_t number);
};
template <HasWords E>
Choice choice(E& place) {
  return {&place, kWords<E>, [](const void* p) { return std::size_t(*static_cast<const E*>(p)); },
          [](void* p, std::size_t number) { *static_cast<E*>(p) = E(number); }};
}
/// Where a key's value lives in a RunConfig; the type says what it may be.
using Field = std::variant<int*, std::uint64_t*, float*, double*, bool*, std::string*,
                           std::vector<int>*, std::vector<bool>*, Choice>;

/// The model types that a key belongs to, as bits 1 << Family.
using Families = unsigned;
constexpr Families bit(model::Family f) { return 1u << unsigned(f); }
constexpr Families kLabml = bit(model::Family::labml), kDdpm = bit(model::Family::ddpm);
constexpr Families kUNets = kLabml | kDdpm, kAny = ~0u;
constexpr Families kPerceptrons =
    bit(model::Family::point_mlp) | bit(model::Family::linear_denoiser);

struct Key {
  std::string_view name;  // "train.batch_size"
  Field (*field)(RunConfig&);
  double min, max;  // of a number, or of each in a list
  std::string_view help;
  Families families = kAny;
};

/// All keys, by section and in the order in which they are written.
std::span<const Key> keys();
const Key* find_key(std::string_view name);
bool belongs_to(const Key& key, model::Family family);
/// The names of the model types that the key belongs to: "labml_unet, ddpm_unet".
std::string owners_of(const Key& key);

/// Throws InputError "<key>: <value>; <what is allowed>" unless the value fits.
void assign(const Key& key, RunConfig& config, const Value& value);
/// The value as JSON.
std::string json_of(const Key& key, const RunConfig& config);
/// "a whole number from 1 to 4096", "one of linear, cosine", ...
std::string allowed(const Key& key);
/// All of it as JSON Schema (draft 7), for editors; apps/configs/schema has a copy.
std::string json_schema();

}  // namespace haze::apps
