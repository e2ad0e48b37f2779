#include "model/verify.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/device_tensor.h"
#include "model/sampler.h"
#include "model/trainer.h"

namespace haze::model {
namespace {

constexpr double kAbsolute = 1e-4, kGradient = 1e-3, kGradientFloor = 4e-6;
constexpr double kTrained = 1e-2, kTrainedRms = 1e-5;
constexpr double kBf16 = 2, kTf32 = kBf16 / 8;  // tf32 has three bits more
constexpr int kBf16Points = 8;                  // tests/pytorch/record.py takes the same
constexpr double kAny = std::numeric_limits<double>::infinity();

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += cat(i ? "," : "", shape[i]);
  return text + "]";
}

const HostTensor& tensor(const StateDict& record, const std::string& name) {
  const auto found = record.find(name);
  if (found == record.end()) throw InputError(cat("record: it has no tensor ", name));
  std::int64_t n = 1;
  for (const std::int64_t e : found->second.shape) n *= e;
  if (std::int64_t(found->second.values.size()) != n)
    throw InputError(cat("record: ", name, " has ", found->second.values.size(), " values for ",
                         shape_text(found->second.shape)));
  return found->second;
}

/// The images of a record: `leading` axes, then [B,C,H,W], equal for all of `names`.
struct Images {
  int leading = 1, n = 0, c = 0, h = 0, w = 0;
  std::size_t size() const {
    return std::size_t(n) * std::size_t(c) * std::size_t(h) * std::size_t(w);
  }
  /// Block k of a tensor's leading axis, as [N,H,W,C].
  std::vector<float> block(const HostTensor& t, int k) const {
    const auto from = t.values.begin() + std::ptrdiff_t(std::size_t(k) * size());
    return nchw_to_nhwc(std::vector<float>(from, from + std::ptrdiff_t(size())), n, c, h, w);
  }
};

Images images_of(const StateDict& record, const std::string& name, bool leading,
                 const NetworkConfig& config) {
  const auto& shape = tensor(record, name).shape;
  if (shape.size() != (leading ? 5 : 4))
    throw InputError(cat("record: ", name, ' ', shape_text(shape), "; [", leading ? "S," : "",
                         "B,C,H,W] expected"));
  for (const std::int64_t e : shape)
    if (e < 1 || e > 1 << 20) throw InputError(cat("record: ", name, ' ', shape_text(shape)));
  const std::size_t at = leading ? 1 : 0;
  const Images images{leading ? int(shape[0]) : 1, int(shape[at]), int(shape[at + 1]),
                      int(shape[at + 2]), int(shape[at + 3])};
  if (images.c != config.image_channels)
    throw InputError(cat("record: ", name, ' ', shape_text(shape), "; the network has ",
                         config.image_channels, " image channels"));
  check_image_size(config, images.h, images.w);
  return images;
}

void require_shape(const StateDict& record, const std::string& name,
                   const std::vector<std::int64_t>& shape) {
  if (const HostTensor& t = tensor(record, name); t.shape != shape)
    throw InputError(
        cat("record: ", name, ' ', shape_text(t.shape), "; ", shape_text(shape), " expected"));
}

std::vector<std::int32_t> times_of(const HostTensor& t, std::size_t first, std::size_t n, int T) {
  std::vector<std::int32_t> times;
  for (std::size_t i = first; i < first + n; ++i) {
    const float v = t.values[i];
    if (!(v >= 0 && v < float(T)) || v != std::floor(v))
      throw InputError(cat("record: t holds ", v, "; whole numbers from 0 to ", T - 1));
    times.push_back(std::int32_t(v));
  }
  return times;
}

Comparison compare(const std::string& name, const HostTensor& got, const HostTensor& want,
                   double tolerance, double rms_tolerance = kAny) {
  Comparison c{.name = name, .tolerance = tolerance, .rms_tolerance = rms_tolerance};
  if (got.shape != want.shape)
    throw InputError(cat("record: ", name, ' ', shape_text(want.shape), "; the network computes ",
                         shape_text(got.shape)));
  double squares = 0;
  bool finite = true;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const double d = std::abs(double(got.values[i]) - double(want.values[i]));
    finite = finite && std::isfinite(d);
    c.max_difference = std::max(c.max_difference, d);
    c.largest = std::max(c.largest, std::abs(double(want.values[i])));
    squares += d * d;
  }
  c.rms_difference = std::sqrt(squares / double(std::max<std::size_t>(got.values.size(), 1)));
  if (!finite) c.max_difference = c.rms_difference = NAN;
  c.ok = finite && c.max_difference <= tolerance && c.rms_difference <= rms_tolerance;
  return c;
}

std::vector<float> scaled(std::vector<float> v, float scale) {
  for (float& e : v) e *= scale;
  return v;
}

double largest(const HostTensor& t) {
  double most = 0;
  for (const float v : t.values) most = std::max(most, std::abs(double(v)));
  return most;
}

/// One verification: what its four kinds share.
struct Job {
  engine::Context& context;
  const NetworkConfig& config;
  const DiffusionConfig& diffusion;
  Network& network;
  const StateDict& record;
  Verification& result;

  void add(const std::string& name, HostTensor got, double tolerance) {
    result.comparisons.push_back(compare(name, got, tensor(record, name), tolerance));
    result.computed[name] = std::move(got);
  }
  HostTensor as_images(const Images& i, const std::vector<float>& nhwc) const {
    return {{i.n, i.c, i.h, i.w}, nhwc_to_nchw(nhwc, i.n, i.c, i.h, i.w)};
  }

  /// eps of a forward record with `scale` times its x.
  StateDict outputs(float scale) {
    const Images images = images_of(record, "x", false, config);
    require_shape(record, "t", {images.n});
    const auto x = scaled(images.block(tensor(record, "x"), 0), scale);
    const auto t = times_of(tensor(record, "t"), 0, std::size_t(images.n), 1 << 24);
    engine::Tape tape(context, false);
    const engine::Shape shape{images.n, images.h, images.w, images.c};
    const auto in = engine::to_activations(context, engine::upload(context, shape, x));
    const auto times = engine::upload(context, {images.n}, t);
    const engine::Var eps = network.forward(tape, {tape.leaf(in), times, {}}, nullptr);
    return {{"eps", as_images(images, engine::download(context, tape.value(eps)))}};
  }

  Schedule recorded_schedule() const { return in_single_precision(make_schedule(diffusion)); }

  /// Calls f(batch) for block k of a grad or train record, with `scale` times its x0.
  template <class F>
  auto with_batch(const Images& images, int k, float scale, F f) {
    const auto x0 = scaled(images.block(tensor(record, "x0"), k), scale);
    const auto noise = images.block(tensor(record, "noise"), k);
    const auto t = times_of(tensor(record, "t"), std::size_t(k) * std::size_t(images.n),
                            std::size_t(images.n), diffusion.steps);
    return f(GivenBatch{x0, noise, t, images.n, images.h, images.w, images.c});
  }

  /// Loss and gradients of a grad record with `scale` times its x0, under the record's names.
  StateDict gradients(float scale) {
    const Images images = images_of(record, "x0", false, config);
    require_shape(record, "noise", tensor(record, "x0").shape);
    require_shape(record, "t", {images.n});
    Trainer trainer(context, network, diffusion, recorded_schedule(), {}, 0);
    const float loss = with_batch(
        images, 0, scale, [&](const GivenBatch& b) { return trainer.loss_and_gradients(b); });
    StateDict found{{"loss", {{1}, {loss}}}};
    auto& parameters = network.parameters();
    for (auto& [name, g] : to_state_dict(parameters, parameters.gradients, true))
      found["grad." + name] = std::move(g);
    for (const auto& [name, g] : found)
      if (!record.contains(name))
        throw InputError(cat("record: it has no ", name, ", which the network computes"));
    for (const auto& [name, g] : record)
      if (name.starts_with("grad.") && !found.contains(name))
        throw InputError(cat("record: ", name, "; the network has no such gradient"));
    return found;
  }

  void forward() {
    for (auto& [name, got] : outputs(1)) add(name, std::move(got), kAbsolute);
  }

  void grad() {
    double most = 0;
    for (const auto& [name, t] : record)
      if (name.starts_with("grad.")) most = std::max(most, largest(t));
    for (auto& [name, got] : gradients(1)) {
      const double size = largest(tensor(record, name));
      add(name, std::move(got),
          name == "loss" ? kAbsolute : std::max(kGradient * size, kGradientFloor * most));
    }
  }

  /// Holds what bf16 or tf32 changes, at all points at which the recorder took its own bf16 run's
  /// errors, against `factor` times those. The truth is the record, and where the record has no
  /// numbers `single`, a Job of the same network in f32.
  void against_bf16(Job& single, double factor) {
    const auto compute = [&](Job& job, int k) {
      const float scale = 1 - float(k) / 64;
      return result.kind == RecordKind::forward ? job.outputs(scale) : job.gradients(scale);
    };
    std::map<std::string, double> squares;
    for (int k = 0; k < kBf16Points; ++k) {
      StateDict found = compute(*this, k);
      const StateDict truth = k == 0 ? record : compute(single, k);
      for (const auto& [name, got] : found) {
        const double rms = compare(name, got, tensor(truth, name), kAny).rms_difference;
        squares[name] += rms * rms / kBf16Points;
      }
      if (k == 0) result.computed = std::move(found);
    }
    for (const auto& [name, square] : squares) {
      require_shape(record, "bf16_error." + name, {1});
      const double allowed = factor * double(tensor(record, "bf16_error." + name).values[0]);
      Comparison c = compare(name, result.computed.at(name), tensor(record, name), kAny);
      c.rms_difference = std::sqrt(square);
      c.rms_tolerance = allowed;
      c.ok = c.rms_difference <= allowed;
      result.comparisons.push_back(c);
    }
  }

  void sample() {
    const Images images = images_of(record, "x_T", false, config);
    const Images noise = images_of(record, "z", true, config);
    auto shape = tensor(record, "x_T").shape;
    require_shape(record, "x_0", shape);
    shape.insert(shape.begin(), noise.leading);
    require_shape(record, "z", shape);
    SampleOptions options;
    options.steps = noise.leading;
    options.batch = images.n;
    options.x_T = images.block(tensor(record, "x_T"), 0);
    for (int k = 0; k < noise.leading; ++k) {
      const auto z = noise.block(tensor(record, "z"), k);
      options.z.insert(options.z.end(), z.begin(), z.end());
    }
    // Its z says what is added at t = 0: zeros, if the chain it comes from adds nothing there.
    DiffusionConfig chain = diffusion;
    chain.noise_at_t0 = true;
    const auto x =
        model::sample(context, network, chain, images.n, images.h, images.w, images.c, options);
    add("x_0", as_images(images, x), kAbsolute);
  }

  void train(const StateDict* expected) {
    const Images images = images_of(record, "x0", true, config);
    require_shape(record, "noise", tensor(record, "x0").shape);
    require_shape(record, "t", {images.leading, images.n});
    TrainConfig options;
    options.learning_rate = 1e-3;
    if (record.contains("adam_eps")) {
      require_shape(record, "adam_eps", {1});
      options.adam_eps = double(tensor(record, "adam_eps").values[0]);
      if (!(options.adam_eps > 0)) throw InputError("record: adam_eps must be positive");
    }
    Trainer trainer(context, network, diffusion, recorded_schedule(), options, 0);
    HostTensor losses{{images.leading}, {}};
    for (int k = 0; k < images.leading; ++k)
      losses.values.push_back(with_batch(images, k, 1, [&](const GivenBatch& b) {
        return trainer.step(std::uint32_t(k), b).loss;
      }));
    add("loss", std::move(losses), kAbsolute);
    StateDict after = to_state_dict(network.parameters(), network.parameters().weights);
    if (expected) {
      for (const auto& [name, got] : after) {
        const auto want = expected->find(name);
        if (want == expected->end())
          throw InputError(cat("expected weights: they have no tensor ", name));
        result.comparisons.push_back(
            compare(name, got, want->second, kTrained * largest(want->second), kTrainedRms));
      }
    }
    result.computed.merge(after);
  }
};

}  // namespace

double Comparison::relative() const { return max_difference == 0 ? 0 : max_difference / largest; }

bool Verification::ok() const {
  return !comparisons.empty() &&
         std::ranges::all_of(comparisons, [](const Comparison& c) { return c.ok; });
}

const char* name_of(RecordKind kind) {
  switch (kind) {
    case RecordKind::forward:
      return "forward";
    case RecordKind::grad:
      return "grad";
    case RecordKind::sample:
      return "sample";
    case RecordKind::train:
      break;
  }
  return "train";
}

RecordKind kind_of(const StateDict& record) {
  const auto has = [&](const char* name) { return record.contains(name); };
  if (has("x") && has("t") && has("eps")) return RecordKind::forward;
  if (has("x_T") && has("z") && has("x_0")) return RecordKind::sample;
  if (has("x0") && has("t") && has("noise") && has("loss"))
    return std::ranges::any_of(record, [](const auto& e) { return e.first.starts_with("grad."); })
               ? RecordKind::grad
               : RecordKind::train;
  throw InputError(
      "record: not recognised; its tensors must be (x, t, eps), (x0, t, noise, loss, grad.*), "
      "(x_T, z, x_0) or (x0, t, noise, loss)");
}

Verification verify(engine::Context& context, NetworkConfig config,
                    const DiffusionConfig& diffusion, const StateDict& weights,
                    const StateDict& record, const StateDict* expected) {
  Verification result;
  result.kind = kind_of(record);
  if (expected && result.kind != RecordKind::train)
    throw InputError(cat("expected weights: a ", name_of(result.kind),
                         " record has none; they go with a train record"));
  config.dropout = 0;
  config.time_steps = diffusion.steps;
  for (const char* images : {"x", "x0", "x_T"})
    if (const auto at = record.find(images); at != record.end() && at->second.shape.size() >= 4) {
      config.image_height = int(at->second.shape.end()[-2]);
      config.image_width = int(at->second.shape.end()[-1]);
    }
  const bool bf16 = context.activations == DType::bf16;
  const bool trains = result.kind == RecordKind::grad || result.kind == RecordKind::train;
  Stream exact = context.stream;
  bool* const tf32 = tf32_of(exact);
  const bool rounds = bf16 || (tf32 && *tf32);
  if (tf32) *tf32 = false;
  if (rounds && (result.kind == RecordKind::sample || result.kind == RecordKind::train))
    throw InputError(cat("--precision: ", bf16 ? "bf16" : "tf32",
                         "; forward and grad records say what it may change, a ",
                         name_of(result.kind), " record does not"));
  const auto ready = [&](DType type) {
    auto network = make_network(config);
    network->parameters().allocate(context.stream, 0, trains, false, type);
    from_state_dict(network->parameters(), network->parameters().weights, weights);
    return network;
  };
  const auto network = ready(context.activations);
  Job job{context, config, diffusion, *network, record, result};
  if (rounds) {
    engine::Context f32(exact, DType::f32);
    f32.fusion = context.fusion;
    const auto truth = ready(DType::f32);
    Job single{f32, config, diffusion, *truth, record, result};
    job.against_bf16(single, bf16 ? kBf16 : kTf32);
    return result;
  }
  switch (result.kind) {
    case RecordKind::forward:
      job.forward();
      break;
    case RecordKind::grad:
      job.grad();
      break;
    case RecordKind::sample:
      job.sample();
      break;
    case RecordKind::train:
      job.train(expected);
      break;
  }
  return result;
}

}  // namespace haze::model
