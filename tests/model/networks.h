// SPDX-License-Identifier: MIT
// networks.h — small networks and data for the model tests.
#pragma once
#include <numeric>

#include "model/trainer.h"
#include "model/verify/recorded_batch.h"
#include "model/weights.h"
#include "tests/support/device.h"
#include "tests/support/tape.h"

namespace haze::test {

/// Two levels, attention in both families' deepest level, three channels, awkward widths.
inline model::NetworkConfig tiny(model::Family family) {
  model::NetworkConfig c;
  c.family = family;
  c.norm_groups = 4;
  c.dropout = 0;
  c.n_channels = 8;
  c.ch_mults = {1, 2};
  c.is_attn = {false, true};
  c.n_blocks = 1;
  c.block_out_channels = {8, 12};
  c.attention = {false, true};
  c.attention_head_dim = 4;
  c.layers_per_block = 1;
  return c;
}
inline constexpr model::Family kFamilies[] = {model::Family::labml, model::Family::ddpm};

/// The network of a configuration, ready to train.
inline std::unique_ptr<model::Network> ready(const model::NetworkConfig& config,
                                             engine::Context& context, std::uint64_t seed = 1,
                                             bool training = true, bool ema = false) {
  auto network = model::make_network(config);
  network->parameters().allocate(context.stream, seed, training, ema, context.activations);
  return network;
}

/// n bright rectangles on black, [n,h,w,c] bytes: easy to learn, no two alike.
inline std::vector<std::uint8_t> rectangles(int n, int h, int w, int c) {
  std::vector<std::uint8_t> images;
  for (int i = 0; i < n; ++i)
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x)
        for (int k = 0; k < c; ++k) images.push_back(y >= i % h && x >= (2 * i + k) % w ? 230 : 10);
  return images;
}

/// A set of n images, and a batch of all of them in order.
struct Images {
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> index;
  int h, w, c;
  Images(int n, int h_, int w_, int c_)
      : bytes(rectangles(n, h_, w_, c_)), index(std::size_t(n)), h(h_), w(w_), c(c_) {
    std::iota(index.begin(), index.end(), 0);
  }
  model::ImageSet set() const { return {.height = h, .width = w, .channels = c, .images = bytes}; }
};

/// A batch of given numbers in haze's layout, from a seed.
struct Given {
  std::vector<float> x0, noise;
  std::vector<std::int32_t> t;
  int n, h, w, c;
  Given(int n_, int h_, int w_, int c_, int T, unsigned seed) : n(n_), h(h_), w(w_), c(c_) {
    const auto size = std::size_t(n * h * w * c);
    for (const double v : normal(size, seed)) x0.push_back(float(v) / 2);
    for (const double v : normal(size, seed + 1)) noise.push_back(float(v));
    for (int i = 0; i < n; ++i) t.push_back((7 * i + int(seed)) % T);
  }
  model::Noising noising(engine::Context& context, const model::Trainer& trainer) const {
    return model::recorded_noising(context, trainer.tables(), {x0, noise, t, n, h, w, c});
  }
  float loss_and_gradients(engine::Context& context, model::Trainer& trainer) const {
    return trainer.loss_and_gradients(n, noising(context, trainer));
  }
};

inline std::vector<float> gradients_of(const model::Network& network) {
  const auto& p = network.parameters();
  return test::read(p.gradients);
}

inline double largest(const auto& v) {
  double most = 0;
  for (const auto e : v) most = std::max(most, std::abs(double(e)));
  return most;
}

/// Expects f() to throw InputError with `text` in its message.
template <class F>
void expect_input_error(F f, const std::string& text) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown; expected an error that says: " << text;
  } catch (const InputError& e) {
    EXPECT_THAT(std::string(e.what()), testing::HasSubstr(text));
  }
}

}  // namespace haze::test
