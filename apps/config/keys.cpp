// SPDX-License-Identifier: MIT
#include "apps/config/keys.h"

#include <algorithm>
#include <cmath>

#include "apps/json_writer.h"

namespace haze::apps {
namespace {

#define HAZE_FIELD(expression) [](RunConfig& c) -> Field { return expression; }
constexpr double kMany = 1e9;
constexpr double kExact = 9007199254740991.0;  // 2^53 - 1: exact in every JSON reader
constexpr double kChannels = 65536;

const Key kKeys[] = {
    {"model.type", HAZE_FIELD(choice(c.model.family)), 0, 0,
     "the network: a U-Net as labml or as DDPM (diffusers) has it, or a small one of a tutorial"},
    {"model.image_channels", HAZE_FIELD(&c.model.image_channels), 1, 64,
     "1 grey, 3 colour; 2 for 2-D points, the default of point_mlp"},
    {"model.hidden", HAZE_FIELD(&c.model.hidden), 1, kChannels, "units of a hidden layer",
     kPerceptrons},
    {"model.widths", HAZE_FIELD(&c.model.widths), 1, kChannels, "channels between the convolutions",
     bit(model::Family::conv_denoiser)},
    {"model.n_channels", HAZE_FIELD(&c.model.n_channels), 4, kChannels,
     "channels of the first level, a multiple of 8", kLabml},
    {"model.ch_mults", HAZE_FIELD(&c.model.ch_mults), 1, 64,
     "per level: its channels over those of the level before", kLabml},
    {"model.is_attn", HAZE_FIELD(&c.model.is_attn), 0, 1, "per level: attention or not", kLabml},
    {"model.n_blocks", HAZE_FIELD(&c.model.n_blocks), 1, 64, "residual blocks per level", kLabml},
    {"model.block_out_channels", HAZE_FIELD(&c.model.block_out_channels), 1, kChannels,
     "per level: its channels", kDdpm},
    {"model.attention", HAZE_FIELD(&c.model.attention), 0, 1, "per level: attention or not", kDdpm},
    {"model.layers_per_block", HAZE_FIELD(&c.model.layers_per_block), 1, 64,
     "residual blocks per level", kDdpm},
    {"model.attention_head_dim", HAZE_FIELD(&c.model.attention_head_dim), 0, kChannels,
     "channels per head; 0: one head", kDdpm},
    {"model.norm_eps", HAZE_FIELD(&c.model.norm_eps), 1e-12, 1, "epsilon of GroupNorm", kDdpm},
    {"model.downsample_padding", HAZE_FIELD(&c.model.downsample_padding), 0, 1,
     "0: right and bottom only, 1: symmetric", kDdpm},
    {"model.flip_sin_to_cos", HAZE_FIELD(&c.model.flip_sin_to_cos), 0, 1,
     "time embedding with the cosines first", kDdpm},
    {"model.freq_shift", HAZE_FIELD(&c.model.freq_shift), 0, 1,
     "of the time embedding: with 1 its slowest frequency is 1/10000, with 0 a little more", kDdpm},
    {"model.norm_groups", HAZE_FIELD(&c.model.norm_groups), 1, kChannels,
     "groups of GroupNorm; a divisor of every level's channels", kUNets},
    {"model.dropout", HAZE_FIELD(&c.model.dropout), 0, 0.99, "probability of dropping a value",
     kUNets},
    {"model.num_classes", HAZE_FIELD(&c.model.num_classes), 0, 1e6,
     "classes to tell apart; 0: none, the network is unconditional", kUNets},
    {"model.self_condition", HAZE_FIELD(&c.model.self_condition), 0, 1,
     "the network also sees its earlier prediction of the image", kUNets},

    {"diffusion.steps", HAZE_FIELD(&c.diffusion.steps), 1, 100000, "T, length of the noise chain"},
    {"diffusion.schedule", HAZE_FIELD(choice(c.diffusion.schedule)), 0, 0,
     "how beta, the noise of a step, grows; sigmoid_alpha_bar is a sigmoid of what is left "
     "instead"},
    {"diffusion.beta_start", HAZE_FIELD(&c.diffusion.beta_start), 1e-12, 0.9999,
     "first beta, of linear and sigmoid"},
    {"diffusion.beta_end", HAZE_FIELD(&c.diffusion.beta_end), 1e-12, 0.9999,
     "last beta, of linear and sigmoid"},
    {"diffusion.prediction", HAZE_FIELD(choice(c.diffusion.prediction)), 0, 0,
     "what the network predicts: the noise, the image, or v of both"},
    {"diffusion.variance", HAZE_FIELD(choice(c.diffusion.variance)), 0, 0,
     "of a DDPM sampling step: beta, the smaller beta_tilde, or learned between the two"},
    {"diffusion.clip_x0", HAZE_FIELD(&c.diffusion.clip_x0), 0, 1,
     "clip the predicted image to the data's range while sampling"},
    {"diffusion.noise_at_t0", HAZE_FIELD(&c.diffusion.noise_at_t0), 0, 1,
     "add noise in the last DDPM sampling step too; default false for all but labml_unet"},
    {"diffusion.start", HAZE_FIELD(choice(c.diffusion.start)), 0, 0,
     "spread of the noise that sampling starts from: 1, or what the schedule ends with"},

    {"data.spec", HAZE_FIELD(&c.data.spec), 0, 4096,
     "synthetic:digits, points:s_curve, mnist:DIR, cifar10:DIR, images:DIR"},
    {"data.image_size", HAZE_FIELD(&c.data.image_size), 1, 16384,
     "[height, width] in pixels; []: as the data is"},
    {"data.range", HAZE_FIELD(choice(c.data.range)), 0, 0,
     "what black and white become: -1 and 1, or 0 and 1"},
    {"data.label", HAZE_FIELD(&c.data.label), 0, 4096,
     "name of the one class to train on, as haze data lists them; \"\": all"},
    {"data.skip_bad", HAZE_FIELD(&c.data.skip_bad), 0, 1, "leave out images that cannot be read"},

    {"train.batch_size", HAZE_FIELD(&c.train.batch_size), 1, 65536, "images per step"},
    {"train.accumulate", HAZE_FIELD(&c.train.accumulate), 1, 65536,
     "parts in which a batch is computed, to save memory; a divisor of batch_size"},
    {"train.steps", HAZE_FIELD(&c.train.steps), 1, kMany, "steps of the whole run"},
    {"train.learning_rate", HAZE_FIELD(&c.train.learning_rate), 0, 1e6, "of Adam"},
    {"train.warmup_steps", HAZE_FIELD(&c.train.warmup_steps), 0, kMany,
     "steps over which the learning rate rises"},
    {"train.lr_decay", HAZE_FIELD(choice(c.train.lr_decay)), 0, 0,
     "how it falls after them: cosine reaches 0 at train.steps"},
    {"train.grad_clip", HAZE_FIELD(&c.train.grad_clip), 0, 1e6,
     "largest norm of the gradient; 0: no limit"},
    {"train.spike_factor", HAZE_FIELD(&c.train.spike_factor), 0, 1e6,
     "skip steps whose gradient's norm is above so many times its running median; 0: none"},
    {"train.ema_decay", HAZE_FIELD(&c.train.ema_decay), 0, 0.9999999,
     "of the averaged weights (EMA), per step; 0: none are kept"},
    {"train.ema_half_life", HAZE_FIELD(&c.train.ema_half_life), 0, 1e12,
     "of the averaged weights in images, in place of ema_decay; 0: by ema_decay"},
    {"train.ema_warmup", HAZE_FIELD(&c.train.ema_warmup), 0, 1,
     "average over less at first, while the weights still change fast"},
    {"train.loss_weight", HAZE_FIELD(choice(c.train.loss_weight)), 0, 0,
     "of the times t: min_snr as in Hang et al. 2023"},
    {"train.min_snr_gamma", HAZE_FIELD(&c.train.min_snr_gamma), 1e-3, 1e6,
     "limit of the signal-to-noise ratio in that weight"},
    {"train.vlb_weight", HAZE_FIELD(&c.train.vlb_weight), 0, 1e6,
     "of the variational bound, which trains a learned variance"},
    {"train.timesteps", HAZE_FIELD(choice(c.train.timesteps)), 0, 0,
     "how t is drawn: antithetic takes t and T-1-t in turn, importance where losses are large"},
    {"train.label_dropout", HAZE_FIELD(&c.train.label_dropout), 0, 1,
     "part of the images that are trained without their class, for guidance"},
    {"train.adam_beta1", HAZE_FIELD(&c.train.adam_beta1), 0, 0.9999999,
     "of Adam's mean of the gradients"},
    {"train.adam_beta2", HAZE_FIELD(&c.train.adam_beta2), 0, 0.9999999,
     "of Adam's mean of their squares"},
    {"train.adam_eps", HAZE_FIELD(&c.train.adam_eps), 1e-30, 1,
     "added to the root of that mean, by which Adam divides"},
    {"train.weight_decay", HAZE_FIELD(&c.train.weight_decay), 0, 1, "as in AdamW"},
    {"train.flip", HAZE_FIELD(&c.train.flip), 0, 1, "mirror images at random"},
    {"train.seed", HAZE_FIELD(&c.seed), 0, kExact, "of everything drawn at random"},
    {"train.precision", HAZE_FIELD(choice(c.precision)), 0, 0,
     "of activations; tf32: f32 that tensor cores round where they multiply, on cuda"},
    {"train.log_every", HAZE_FIELD(&c.train.log_every), 1, kMany, "steps between metrics"},
    {"train.sample_every", HAZE_FIELD(&c.train.sample_every), 0, kMany,
     "steps between sample grids; 0: none"},
    {"train.sample_count", HAZE_FIELD(&c.train.sample_count), 0, 65536,
     "images in such a grid; 0: 64, or 2000 points"},
    {"train.checkpoint_every", HAZE_FIELD(&c.train.checkpoint_every), 0, kMany,
     "steps between checkpoints; 0: at the end only"},
    {"train.keep_checkpoints", HAZE_FIELD(&c.train.keep_checkpoints), 2, 100000,
     "newest checkpoints to keep: should one be damaged, there is another"},
};
#undef HAZE_FIELD

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;  // clang deduces it by itself from 17 on

template <class T>
constexpr bool is_whole = std::is_same_v<T, int> || std::is_same_v<T, std::uint64_t>;

[[noreturn]] void refuse(const Key& key, const Value& value) {
  throw InputError(cat(key.name, ": ", text_of(value), "; ", allowed(key)));
}

template <class T>
T number(const Key& key, const Value& whole, const Scalar& s) {
  double x = NAN;
  if (const auto* i = std::get_if<std::int64_t>(&s)) x = double(*i);
  // A whole number may be spelt 1e3, as JSON Schema's integer may.
  if (const auto* d = std::get_if<double>(&s); d && (!is_whole<T> || *d == std::floor(*d))) x = *d;
  // A NaN fails this comparison too.
  if (!(x >= key.min && x <= key.max)) refuse(key, whole);
  return T(x);
}

template <class T>
std::vector<T> list(const Key& key, const Value& value) {
  if (!value.is_list) refuse(key, value);
  std::vector<T> out;
  for (const Scalar& s : value.items) {
    if constexpr (std::is_same_v<T, bool>) {
      if (!std::holds_alternative<bool>(s)) refuse(key, value);
      out.push_back(std::get<bool>(s));
    } else {
      out.push_back(number<T>(key, value, s));
    }
  }
  return out;
}

template <class T>
void store(T* into, const Key& key, const Value& value) {
  if (value.is_list) refuse(key, value);
  const Scalar& s = value.items[0];
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    *into = number<T>(key, value, s);
  } else {
    if (!std::holds_alternative<T>(s)) refuse(key, value);
    *into = std::get<T>(s);
  }
}

template <class T>
void store(std::vector<T>* into, const Key& key, const Value& value) {
  *into = list<T>(key, value);
}

void store(Choice into, const Key& key, const Value& value) {
  const auto* word = value.is_list ? nullptr : std::get_if<std::string>(&value.items[0]);
  const auto found = word ? std::ranges::find(into.words, *word) : into.words.end();
  if (found == into.words.end()) refuse(key, value);
  into.set(into.place, std::size_t(found - into.words.begin()));
}

}  // namespace

std::span<const Key> keys() { return kKeys; }

const Key* find_key(std::string_view name) {
  const auto at = std::ranges::find(kKeys, name, &Key::name);
  return at == std::end(kKeys) ? nullptr : at;
}

bool belongs_to(const Key& key, model::Family family) { return key.families & bit(family); }

std::string owners_of(const Key& key) {
  std::vector<std::string_view> names;
  for (std::size_t f = 0; f < kWords<model::Family>.size(); ++f)
    if (belongs_to(key, model::Family(f))) names.push_back(kWords<model::Family>[f]);
  return joined(names, ", ");
}

void assign(const Key& key, RunConfig& config, const Value& value) {
  std::visit([&](auto into) { store(into, key, value); }, key.field(config));
}

std::string json_of(const Key& key, const RunConfig& config) {
  const auto list = [](const auto& items) {
    JsonWriter w(0);
    w.begin_array();
    for (const auto item : items) w.value(item);
    return w.end_array().text();
  };
  return std::visit(
      Overloaded{[&](std::vector<int>* v) { return list(*v); },
                 [&](std::vector<bool>* v) { return list(*v); },
                 [](Choice c) { return json_quoted(c.words[c.get(c.place)]); },
                 [](auto* v) { return JsonWriter(0).value(*v).text(); }},
      key.field(const_cast<RunConfig&>(config)));  // read only: field() serves assign() as well
}

std::string allowed(const Key& key) {
  RunConfig any;
  const std::string range = " " + range_text(key.min, key.max);
  return std::visit(
      Overloaded{[&](int*) { return "a whole number" + range; },
                 [&](std::uint64_t*) { return "a whole number" + range; },
                 [&](bool*) { return std::string("true or false"); },
                 [&](std::string*) { return std::string("a text"); },
                 [&](std::vector<int>*) { return "a list of whole numbers" + range; },
                 [&](std::vector<bool>*) { return std::string("a list of true and false"); },
                 [&](Choice c) { return "one of " + joined(c.words, ", "); },
                 [&](auto*) { return "a number" + range; }},
      key.field(any));
}

}  // namespace haze::apps
