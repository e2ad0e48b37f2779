// SPDX-License-Identifier: MIT
#include "apps/config/config.h"

#include <algorithm>

#include "apps/config/aliases.h"
#include "apps/config/keys.h"
#include "apps/data/input_file.h"
#include "apps/json_writer.h"

namespace haze::apps {
namespace {

std::string section_of(std::string_view key) { return std::string(key.substr(0, key.find('.'))); }

[[noreturn]] void unknown_key(const std::string& name, const Setting& setting,
                              model::Family family) {
  const std::string guess = did_you_mean(name, family);
  throw InputError(cat(setting.origin, ": ", name, ": ", text_of(setting.value), "; no such key; ",
                       guess.empty() ? "haze info --keys lists them" : guess));
}

void set(RunConfig& config, const Key& key, const Setting& setting) {
  try {
    assign(key, config, setting.value);
  } catch (const InputError& e) {
    throw InputError(cat(setting.origin, ": ", e.what()));
  }
}

void check_together(const RunConfig& c) {
  if (!c.data.image_size.empty() && c.data.image_size.size() != 2)
    throw InputError(cat("data.image_size: ", c.data.image_size.size(),
                         " numbers; [height, width], or [] for the data's own"));
  if (c.train.batch_size % c.train.accumulate != 0)
    throw InputError(cat("train.accumulate: ", c.train.accumulate,
                         "; a divisor of train.batch_size, which is ", c.train.batch_size));
  if (c.train.ema_decay > 0 && c.train.ema_half_life > 0)
    throw InputError(cat("train.ema_half_life: ", c.train.ema_half_life, "; train.ema_decay is ",
                         c.train.ema_decay, " too: one of the two, the other 0"));
  if (c.train.spike_factor > 0 && c.train.spike_factor < 1)
    throw InputError(cat("train.spike_factor: ", c.train.spike_factor,
                         "; 0, or at least 1: half of all norms are above their median"));
  if (c.model.self_condition && c.diffusion.variance == model::Variance::learned)
    throw InputError("model.self_condition: true; false where diffusion.variance is learned");
}

}  // namespace

std::string text_of(const Value& value) {
  constexpr std::size_t kLongest = 60;
  JsonWriter w(0);
  if (value.is_list) w.begin_array();
  for (const Scalar& s : value.items)
    std::visit(
        [&](const auto& v) {
          if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::nullptr_t>)
            w.raw("null");
          else
            w.value(v);
        },
        s);
  if (value.is_list) w.end_array();
  return w.text().size() > kLongest ? w.text().substr(0, kLongest) + "..." : w.text();
}

RunConfig resolve(const Settings& settings) {
  RunConfig config;
  if (const auto type = settings.find("model.type"); type != settings.end())
    set(config, *find_key("model.type"), type->second);
  const auto family = config.model.family;
  if (family == model::Family::point_mlp) config.model.image_channels = 2;
  config.diffusion.noise_at_t0 = family == model::Family::labml;
  for (const auto& [name, setting] : settings) {
    const Key* key = find_key(name);
    if (!key) unknown_key(name, setting, family);
    if (!belongs_to(*key, family))
      throw InputError(cat(setting.origin, ": ", name, ": ", text_of(setting.value), "; a key of ",
                           owners_of(*key), ", but model.type is ",
                           json_of(*find_key("model.type"), config)));
    set(config, *key, setting);
  }
  check_together(config);
  config.model.time_steps = config.diffusion.steps;
  if (const auto& size = config.data.image_size; !size.empty())
    config.model.image_height = size[0], config.model.image_width = size[1];
  config.model.learned_variance = config.diffusion.variance == model::Variance::learned;
  return config;
}

void refuse_unused_keys(const RunConfig& c) {
  const bool ranged = c.diffusion.schedule == model::ScheduleKind::linear ||
                      c.diffusion.schedule == model::ScheduleKind::sigmoid;
  const bool points = c.data.spec.starts_with("points:");
  const struct {
    const char* key;
    bool unused;
    const char* where;
  } rules[] = {
      {"diffusion.beta_start", !ranged, "diffusion.schedule is linear or sigmoid"},
      {"diffusion.beta_end", !ranged, "diffusion.schedule is linear or sigmoid"},
      {"data.range", points, "the data are images"},
      {"train.ema_warmup", !c.train.keeps_ema(), "train.ema_decay or ema_half_life is above 0"},
      {"train.min_snr_gamma", c.train.loss_weight != model::LossWeight::min_snr,
       "train.loss_weight is min_snr"},
      {"train.vlb_weight", c.diffusion.variance != model::Variance::learned,
       "diffusion.variance is learned"},
      {"train.label_dropout", c.model.num_classes == 0, "model.num_classes is above 0"},
      {"train.flip", points, "the data are images"},
  };
  const RunConfig defaults;
  for (const auto& [name, unused, where] : rules) {
    const Key& key = *find_key(name);
    if (const std::string value = json_of(key, c); unused && value != json_of(key, defaults))
      throw InputError(cat(name, ": ", value, "; it counts only where ", where, ": leave it at ",
                           json_of(key, defaults)));
  }
}

std::string to_json(const RunConfig& config) {
  JsonWriter w;
  w.begin_object();
  std::string section;
  for (const Key& key : keys()) {
    if (!belongs_to(key, config.model.family)) continue;
    if (section_of(key.name) != section) {
      if (!section.empty()) w.end_object();
      section = section_of(key.name);
      w.key(section).begin_object();
    }
    w.key(key.name.substr(section.size() + 1)).raw(json_of(key, config));
  }
  return w.end_object().end_object().text() + "\n";
}

std::string to_text_with_origins(const RunConfig& config, const Settings& settings) {
  std::string text;
  for (const Key& key : keys()) {
    if (!belongs_to(key, config.model.family)) continue;
    const auto at = settings.find(key.name);
    std::string line = cat(key.name, " = ", json_of(key, config));
    line.resize(std::max<std::size_t>(line.size() + 2, 52), ' ');
    text += line + (at == settings.end() ? "(default)" : "(" + printable(at->second.origin) + ")") +
            "\n";
  }
  return text;
}

std::vector<std::string> differences(const RunConfig& a, const RunConfig& b) {
  std::vector<std::string> found;
  for (const Key& key : keys()) {
    if (!belongs_to(key, a.model.family) && !belongs_to(key, b.model.family)) continue;
    const std::string left = json_of(key, a), right = json_of(key, b);
    if (left != right) found.push_back(cat(key.name, ": ", left, ", not ", right));
  }
  return found;
}

}  // namespace haze::apps
