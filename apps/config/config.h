// SPDX-License-Identifier: MIT
// config.h — what describes a run: one JSON file, and the layers that are put over it.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "apps/config/words.h"
#include "kernels/base/dtype.h"
#include "model/config.h"

namespace haze::apps {

enum class DataRange : std::uint8_t { minus_one_one, zero_one };
template <>
inline constexpr auto kWords<DataRange> = words_for<DataRange>("minus_one_one", "zero_one");

/// tf32: as f32, but convolutions and linear layers round what they multiply (CudaStream::tf32).
enum class Precision : std::uint8_t { f32, tf32, bf16 };
template <>
inline constexpr auto kWords<Precision> = words_for<Precision>("f32", "tf32", "bf16");

/// The type of the activations.
constexpr DType activations_of(Precision precision) {
  return precision == Precision::bf16 ? DType::bf16 : DType::f32;
}

struct DataConfig {
  std::string spec;             // "mnist:DIR", "images:DIR", "synthetic:digits", ...
  std::vector<int> image_size;  // [height, width]; empty: as the data set is
  DataRange range = DataRange::minus_one_one;
  bool skip_bad = false;  // leave out images that cannot be read
  std::string label;      // name of the one class to train on; empty: all
};

/// Everything that decides the numbers of a run. Its JSON has the sections model, diffusion, data
/// and train; the keys are those of config/keys.cpp.
struct RunConfig {
  model::NetworkConfig model;
  model::DiffusionConfig diffusion;
  DataConfig data;
  model::TrainConfig train;
  std::uint64_t seed = 0;                // train.seed
  Precision precision = Precision::f32;  // train.precision

  DType activations() const { return activations_of(precision); }
};

/// A JSON scalar, or a flat list of them.
using Scalar = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string>;
struct Value {
  std::vector<Scalar> items;
  bool is_list = false;
};
/// As JSON, shortened for a message.
std::string text_of(const Value& value);

/// What was set, by key, and where: a file, --set, a flag, an environment variable.
struct Setting {
  Value value;
  std::string origin;
};
using Settings = std::map<std::string, Setting, std::less<>>;

/// Reads a configuration's text. `origin` names it in errors. Throws InputError for anything but an
/// object of sections of scalars and flat lists: broken JSON, duplicates, NaN, more than 1 MiB,
/// nesting, strings over 4 KiB. Keys are not looked at.
Settings parse_settings(const std::string& json, const std::string& origin);

/// One KEY=VALUE of --set. VALUE is JSON, or text where it is none. Throws InputError.
void parse_assignment(const std::string& assignment, const std::string& origin, Settings& into);

/// Builds the configuration: defaults, then the settings. Throws InputError naming origin, key,
/// value and what is allowed, and for an unknown key the nearest known one. noise_at_t0 defaults to
/// true for labml_unet, whose chain adds noise in its last step too, and to false otherwise.
RunConfig resolve(const Settings& settings);

/// Refuses keys that others leave without effect, such as a min_snr_gamma where loss_weight is
/// none, unless they are at their defaults (as config.json has them). For new runs: what has been
/// trained stays usable. Throws InputError.
void refuse_unused_keys(const RunConfig& config);

/// The whole configuration, every key of its model's family; resolve(parse(...)) gives it back.
std::string to_json(const RunConfig& config);
/// "train.steps = 1000   (--steps)" per key.
std::string to_text_with_origins(const RunConfig& config, const Settings& settings);

/// Keys whose values differ, as "train.batch_size: 64, not 32" (value in a, then in b).
std::vector<std::string> differences(const RunConfig& a, const RunConfig& b);

}  // namespace haze::apps
