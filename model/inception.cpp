// SPDX-License-Identifier: MIT
#include "model/inception.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <tuple>
#include <utility>

#include "engine/device_tensor.h"

namespace haze::model {

using engine::Var;

namespace {

constexpr double kEps = 0.001;  // of the batch norms

/// A forward pass in the network's own words.
class Run {
 public:
  Run(engine::Tape& tape, engine::Parameters& parameters, const std::map<std::string, Conv>& convs)
      : tape_(tape), pass_{tape, parameters}, convs_(convs) {}

  /// relu(convolution NAME of x). x is released if it is `last` used here.
  Var conv(const std::string& name, Var x, bool last = true) {
    const Var y = convs_.at(name)(pass_, x);
    if (last) tape_.release(x);
    const Var z = engine::relu(tape_, y);
    tape_.release(y);
    return z;
  }
  /// The named convolutions of a block one after the other; x stays.
  Var chain(const std::string& block, std::initializer_list<const char*> names, Var x) {
    bool first = true;
    for (const char* name : names) x = conv(block + name, x, !std::exchange(first, false));
    return x;
  }
  Var largest(Var x, int stride, int pad = 0) { return engine::max_pool(tape_, x, 3, stride, pad); }
  Var mean(Var x) { return engine::average_pool(tape_, x, 3, 1, 1); }
  Var join(std::initializer_list<Var> parts) {
    Var all;
    for (const Var part : parts) {
      if (!all) {
        all = part;
        continue;
      }
      const Var joined = engine::concat_channels(tape_, all, part);
      tape_.release(all), tape_.release(part);
      all = joined;
    }
    return all;
  }
  void done(Var x) { tape_.release(x); }

 private:
  engine::Tape& tape_;
  Pass pass_;
  const std::map<std::string, Conv>& convs_;
};

Var block_a(Run& run, const std::string& b, Var x) {
  const Var y1 = run.chain(b, {"branch1x1"}, x),
            y2 = run.chain(b, {"branch5x5_1", "branch5x5_2"}, x),
            y3 = run.chain(b, {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"}, x),
            y4 = run.conv(b + "branch_pool", run.mean(x));
  run.done(x);
  return run.join({y1, y2, y3, y4});
}

Var block_b(Run& run, const std::string& b, Var x) {
  const Var y1 = run.chain(b, {"branch3x3"}, x),
            y2 = run.chain(b, {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"}, x),
            y3 = run.largest(x, 2);
  run.done(x);
  return run.join({y1, y2, y3});
}

Var block_c(Run& run, const std::string& b, Var x) {
  const Var y1 = run.chain(b, {"branch1x1"}, x),
            y2 = run.chain(b, {"branch7x7_1", "branch7x7_2", "branch7x7_3"}, x),
            y3 = run.chain(b,
                           {"branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4",
                            "branch7x7dbl_5"},
                           x),
            y4 = run.conv(b + "branch_pool", run.mean(x));
  run.done(x);
  return run.join({y1, y2, y3, y4});
}

Var block_d(Run& run, const std::string& b, Var x) {
  const Var y1 = run.chain(b, {"branch3x3_1", "branch3x3_2"}, x),
            y2 = run.chain(b, {"branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"},
                           x),
            y3 = run.largest(x, 2);
  run.done(x);
  return run.join({y1, y2, y3});
}

Var block_e(Run& run, const std::string& b, Var x, bool pool_largest) {
  const Var y1 = run.chain(b, {"branch1x1"}, x), h2 = run.chain(b, {"branch3x3_1"}, x),
            h3 = run.chain(b, {"branch3x3dbl_1", "branch3x3dbl_2"}, x);
  const Var y2a = run.chain(b, {"branch3x3_2a"}, h2), y2b = run.conv(b + "branch3x3_2b", h2);
  const Var y3a = run.chain(b, {"branch3x3dbl_3a"}, h3), y3b = run.conv(b + "branch3x3dbl_3b", h3);
  const Var y4 = run.conv(b + "branch_pool", pool_largest ? run.largest(x, 1, 1) : run.mean(x));
  run.done(x);
  return run.join({y1, y2a, y2b, y3a, y3b, y4});
}

/// Row or column coordinates of a bilinear resize: between `from` and `from + next`, by `share`.
struct Between {
  int from, next;
  float share;
};
std::vector<Between> between(int in, int out) {
  std::vector<Between> all;
  const float scale = float(in) / float(out);
  for (int i = 0; i < out; ++i) {
    const float at = std::max((float(i) + 0.5f) * scale - 0.5f, 0.0f);
    const int from = std::min(int(at), in - 1);
    all.push_back({from, from + 1 < in ? 1 : 0, at - float(from)});
  }
  return all;
}

}  // namespace

void Inception::add(const std::string& name, int in, int out, int height, int width, int stride,
                    bool padded) {
  const engine::ParamId weight = parameters_.add({.name = name + ".conv.weight",
                                                  .shape = {out, height, width, in},
                                                  .layout = engine::Layout::conv,
                                                  .is_weight = true});
  const engine::ParamId bias = parameters_.add({.name = name + ".bias", .shape = {out}});
  const int rows = padded ? height / 2 : 0, columns = padded ? width / 2 : 0;
  convs_[name] = {weight, bias, {stride, rows, columns, rows, columns}};
}

void Inception::add_blocks() {
  constexpr bool kPadded = true;
  add("Conv2d_1a_3x3", 3, 32, 3, 3, 2);
  add("Conv2d_2a_3x3", 32, 32, 3, 3);
  add("Conv2d_2b_3x3", 32, 64, 3, 3, 1, kPadded);
  add("Conv2d_3b_1x1", 64, 80, 1, 1);
  add("Conv2d_4a_3x3", 80, 192, 3, 3);
  for (const auto& [b, in, pool] :
       {std::tuple{"Mixed_5b.", 192, 32}, {"Mixed_5c.", 256, 64}, {"Mixed_5d.", 288, 64}}) {
    const std::string n = b;
    add(n + "branch1x1", in, 64, 1, 1);
    add(n + "branch5x5_1", in, 48, 1, 1), add(n + "branch5x5_2", 48, 64, 5, 5, 1, kPadded);
    add(n + "branch3x3dbl_1", in, 64, 1, 1);
    add(n + "branch3x3dbl_2", 64, 96, 3, 3, 1, kPadded);
    add(n + "branch3x3dbl_3", 96, 96, 3, 3, 1, kPadded);
    add(n + "branch_pool", in, pool, 1, 1);
  }
  add("Mixed_6a.branch3x3", 288, 384, 3, 3, 2);
  add("Mixed_6a.branch3x3dbl_1", 288, 64, 1, 1);
  add("Mixed_6a.branch3x3dbl_2", 64, 96, 3, 3, 1, kPadded);
  add("Mixed_6a.branch3x3dbl_3", 96, 96, 3, 3, 2);
  for (const auto& [b, c] :
       {std::pair{"Mixed_6b.", 128}, {"Mixed_6c.", 160}, {"Mixed_6d.", 160}, {"Mixed_6e.", 192}}) {
    const std::string n = b;
    add(n + "branch1x1", 768, 192, 1, 1);
    add(n + "branch7x7_1", 768, c, 1, 1);
    add(n + "branch7x7_2", c, c, 1, 7, 1, kPadded);
    add(n + "branch7x7_3", c, 192, 7, 1, 1, kPadded);
    add(n + "branch7x7dbl_1", 768, c, 1, 1);
    add(n + "branch7x7dbl_2", c, c, 7, 1, 1, kPadded);
    add(n + "branch7x7dbl_3", c, c, 1, 7, 1, kPadded);
    add(n + "branch7x7dbl_4", c, c, 7, 1, 1, kPadded);
    add(n + "branch7x7dbl_5", c, 192, 1, 7, 1, kPadded);
    add(n + "branch_pool", 768, 192, 1, 1);
  }
  add("Mixed_7a.branch3x3_1", 768, 192, 1, 1);
  add("Mixed_7a.branch3x3_2", 192, 320, 3, 3, 2);
  add("Mixed_7a.branch7x7x3_1", 768, 192, 1, 1);
  add("Mixed_7a.branch7x7x3_2", 192, 192, 1, 7, 1, kPadded);
  add("Mixed_7a.branch7x7x3_3", 192, 192, 7, 1, 1, kPadded);
  add("Mixed_7a.branch7x7x3_4", 192, 192, 3, 3, 2);
  for (const auto& [b, in] : {std::pair{"Mixed_7b.", 1280}, {"Mixed_7c.", 2048}}) {
    const std::string n = b;
    add(n + "branch1x1", in, 320, 1, 1);
    add(n + "branch3x3_1", in, 384, 1, 1);
    add(n + "branch3x3_2a", 384, 384, 1, 3, 1, kPadded);
    add(n + "branch3x3_2b", 384, 384, 3, 1, 1, kPadded);
    add(n + "branch3x3dbl_1", in, 448, 1, 1);
    add(n + "branch3x3dbl_2", 448, 384, 3, 3, 1, kPadded);
    add(n + "branch3x3dbl_3a", 384, 384, 1, 3, 1, kPadded);
    add(n + "branch3x3dbl_3b", 384, 384, 3, 1, 1, kPadded);
    add(n + "branch_pool", in, 192, 1, 1);
  }
}

void Inception::fill(const StateDict& state, Stream stream) {
  StateDict folded;
  std::string missing;
  std::size_t used = 0;
  for (const auto& [name, conv] : convs_) {
    const std::int64_t out = parameters_[conv.bias].shape[0];
    const HostTensor* found[5] = {};
    const char* parts[5] = {".conv.weight", ".bn.weight", ".bn.bias", ".bn.running_mean",
                            ".bn.running_var"};
    for (int k = 0; k < 5; ++k) {
      const auto at = state.find(name + parts[k]);
      const auto shape =
          k == 0 ? pytorch_shape(parameters_[conv.weight]) : std::vector<std::int64_t>{out};
      if (at == state.end() || at->second.shape != shape) {
        missing += cat(missing.empty() ? "" : ", ", name, parts[k],
                       at == state.end() ? "" : " (of another shape)");
        continue;
      }
      found[k] = &at->second, ++used;
    }
    if (std::find(found, found + 5, nullptr) != found + 5) continue;
    HostTensor weight = *found[0], bias{{out}, std::vector<float>(std::size_t(out))};
    const std::size_t row = weight.values.size() / std::size_t(out);
    for (std::size_t o = 0; o < std::size_t(out); ++o) {
      const double scale =
          double(found[1]->values[o]) / std::sqrt(double(found[4]->values[o]) + kEps);
      for (std::size_t i = 0; i < row; ++i)
        weight.values[o * row + i] = float(scale * double(weight.values[o * row + i]));
      bias.values[o] = float(double(found[2]->values[o]) - scale * double(found[3]->values[o]));
    }
    folded[name + ".conv.weight"] = std::move(weight);
    folded[name + ".bias"] = std::move(bias);
  }
  if (!missing.empty())
    throw InputError(cat("inception: missing: ", missing.substr(0, 300),
                         missing.size() > 300 ? ", ..." : "",
                         "; the names are those of torchvision and pytorch-fid"));
  for (const auto& [name, tensor] : state)
    used += name.starts_with("fc.") || name.starts_with("AuxLogits.") ||
            name.ends_with(".num_batches_tracked");
  if (used != state.size())
    throw InputError(cat("inception: ", state.size() - used, " tensors that it does not have"));
  allocate_from(parameters_, stream, false, DType::f32, folded);
}

Inception::Inception(const StateDict& state, Stream stream) {
  add_blocks();
  fill(state, stream);
}

Var Inception::forward(engine::Tape& tape, Var x) {
  Run run(tape, parameters_, convs_);
  x = run.conv("Conv2d_1a_3x3", x);
  x = run.conv("Conv2d_2a_3x3", x);
  Var y = run.conv("Conv2d_2b_3x3", x);
  x = run.largest(y, 2);
  run.done(y);
  x = run.conv("Conv2d_3b_1x1", x);
  y = run.conv("Conv2d_4a_3x3", x);
  x = run.largest(y, 2);
  run.done(y);
  for (const char* b : {"Mixed_5b.", "Mixed_5c.", "Mixed_5d."}) x = block_a(run, b, x);
  x = block_b(run, "Mixed_6a.", x);
  for (const char* b : {"Mixed_6b.", "Mixed_6c.", "Mixed_6d.", "Mixed_6e."}) x = block_c(run, b, x);
  x = block_d(run, "Mixed_7a.", x);
  x = block_e(run, "Mixed_7b.", x, false);
  x = block_e(run, "Mixed_7c.", x, true);
  const engine::Shape last = tape.value(x).shape;
  const Var pooled = engine::average_pool(tape, x, last[1], 1);
  tape.release(x);
  return engine::reshape(tape, pooled, {last[0], last[3]});
}

std::vector<float> inception_features(engine::Context& context, Inception& network,
                                      std::span<const std::uint8_t> images, int count, int height,
                                      int width, int channels,
                                      const std::function<void(int, int)>& progress, int batch) {
  constexpr int kSide = Inception::kSide;
  const std::size_t image = std::size_t(height) * width * channels;
  HAZE_CHECK((channels == 1 || channels == 3) && images.size() == std::size_t(count) * image, count,
             " images of ", height, "x", width, "x", channels, ", ", images.size(), " bytes");
  const auto rows = between(height, kSide), columns = between(width, kSide);
  std::vector<float> features;
  for (int first = 0; first < count; first += batch) {
    const int n = std::min(batch, count - first);
    const engine::Shape shape{n, kSide, kSide, 3};
    std::vector<float> x(shape.size());
#pragma omp parallel for schedule(static)
    for (int r = 0; r < n * kSide; ++r) {
      const std::uint8_t* from = images.data() + std::size_t(first + r / kSide) * image;
      const Between& row = rows[std::size_t(r % kSide)];
      float* to = x.data() + std::size_t(r) * kSide * 3;
      for (int q = 0; q < kSide; ++q)
        for (int c = 0; c < 3; ++c) {
          const Between& column = columns[std::size_t(q)];
          const auto at = [&](int down, int right) {
            return float(from[(std::size_t(row.from + down) * width + column.from + right) *
                                  channels +
                              std::min(c, channels - 1)]) /
                   255.0f;
          };
          const float s = column.share;
          const float upper = (1 - s) * at(0, 0) + s * at(0, column.next);
          const float lower = (1 - s) * at(row.next, 0) + s * at(row.next, column.next);
          to[3 * q + c] = 2 * ((1 - row.share) * upper + row.share * lower) - 1;
        }
    }
    {
      engine::Tape tape(context, false);
      const Var out = network.forward(tape, tape.leaf(engine::upload(context, shape, x)));
      const auto values = engine::download(context, tape.value(out));
      features.insert(features.end(), values.begin(), values.end());
    }
    context.arena.consolidate();
    if (progress) progress(first + n, count);
  }
  return features;
}

}  // namespace haze::model
