// SPDX-License-Identifier: MIT
#include "apps/classifier_file.h"

#include <algorithm>
#include <cmath>

#include "apps/data/input_file.h"
#include "engine/files/new_file.h"
#include "engine/files/safetensors.h"
#include "kernels/base/text.h"
#include "model/weights.h"

namespace haze::apps {
namespace {

constexpr const char* kFormat = "haze-classifier/1";

template <class T>
T number(const engine::SafetensorsReader& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  const std::string text = found == file.metadata().end() ? "" : found->second;
  const auto value = parse_number<T>(text);
  if (!value) throw InputError(cat(file.path(), ": metadata ", key, ": \"", text, "\"; a number"));
  return *value;
}

std::string text(const engine::SafetensorsReader& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? "" : found->second;
}

/// An extent within what any data set has, so that a foreign file cannot ask for all memory.
int extent(const engine::SafetensorsReader& file, const std::string& key, int most) {
  const int value = number<int>(file, key);
  if (value < 1 || value > most)
    throw InputError(cat(file.path(), ": metadata ", key, ": ", value, "; 1 to ", most));
  return value;
}

}  // namespace

void save_classifier(const std::string& path, const model::Classifier& classifier,
                     const ClassifierRecord& r) {
  const auto state = model::to_state_dict(classifier.parameters(), classifier.parameters().weights);
  std::vector<engine::SafetensorsTensor> tensors;
  for (const auto& [name, tensor] : state) {
    if (!std::ranges::all_of(tensor.values, [](float x) { return std::isfinite(x); }))
      throw RunError(cat("classifier: ", name,
                         " holds numbers that are not finite; only finite ones are saved; try a "
                         "lower learning rate"));
    tensors.push_back({name, tensor.shape, tensor.values.data()});
  }
  engine::write_safetensors(engine::disk(), path, std::move(tensors),
                            {{"format", "pt"},
                             {"haze", kFormat},
                             {"height", std::to_string(r.config.height)},
                             {"width", std::to_string(r.config.width)},
                             {"channels", std::to_string(r.config.channels)},
                             {"classes", std::to_string(r.config.classes)},
                             {"class_names", class_lines(r.classes)},
                             {"data", printable(r.data)},
                             {"dataset", r.fingerprint},
                             {"epochs", std::to_string(r.epochs)},
                             {"seed", std::to_string(r.seed)},
                             {"accuracy", std::to_string(r.accuracy)}});
}

LoadedClassifier load_classifier(const std::string& path, Stream stream) {
  const engine::SafetensorsReader file(engine::disk(), path);
  if (text(file, "haze") != kFormat)
    throw InputError(cat(path, ": not a classifier of haze; haze classifier --out FILE makes one"));
  LoadedClassifier loaded;
  ClassifierRecord& r = loaded.record;
  r.config = {extent(file, "height", 16384), extent(file, "width", 16384),
              extent(file, "channels", 1024), extent(file, "classes", 65536)};
  r.data = text(file, "data"), r.fingerprint = text(file, "dataset");
  r.epochs = number<int>(file, "epochs"), r.seed = number<std::uint64_t>(file, "seed");
  r.accuracy = number<double>(file, "accuracy");
  if (const std::string names = text(file, "class_names"); !names.empty())
    for (const std::string_view name : split(names, '\n')) r.classes.push_back(printable(name));
  model::StateDict state;
  for (const auto& entry : file.tensors()) state[entry.name] = {entry.shape, file.read_f32(entry)};
  try {
    loaded.network = std::make_unique<model::Classifier>(r.config);
    model::allocate_from(loaded.network->parameters(), stream, false, DType::f32, state);
  } catch (const InputError& e) {
    throw InputError(cat(path, ": ", e.what()));
  }
  return loaded;
}

}  // namespace haze::apps
