// SPDX-License-Identifier: MIT
#include "model/verify/verify.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/verify/recompute.h"
#include "model/verify/record.h"

namespace haze::model {
namespace {

constexpr double kAbsolute = 1e-4, kGradient = 1e-3, kGradientFloor = 4e-6;
constexpr double kTrained = 1e-2, kTrainedRms = 1e-5;
constexpr double kBf16 = 2, kTf32 = kBf16 / 8;  // tf32 has three bits more
constexpr int kBf16Points = 8;                  // tests/pytorch/record.py takes the same
constexpr double kAny = std::numeric_limits<double>::infinity();

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

double largest(const HostTensor& t) {
  double most = 0;
  for (const float v : t.values) most = std::max(most, std::abs(double(v)));
  return most;
}

/// The largest of the record's gradients.
double largest_gradient(const StateDict& record) {
  double most = 0;
  for (const auto& [name, t] : record)
    if (name.starts_with("grad.")) most = std::max(most, largest(t));
  return most;
}

/// In f32: what was computed, each tensor within its tolerance of the recorded one.
void compare_all(Verification& result, StateDict computed, const StateDict& record) {
  const double most = result.kind == RecordKind::grad ? largest_gradient(record) : 0;
  for (auto& [name, got] : computed) {
    const HostTensor& want = recorded(record, name);
    const double tolerance = name.starts_with("grad.")
                                 ? std::max(kGradient * largest(want), kGradientFloor * most)
                                 : kAbsolute;
    result.comparisons.push_back(compare(name, got, want, tolerance));
  }
  result.computed.merge(computed);
}

/// The weights after a train record's steps.
void compare_weights(Verification& result, const Network& network, const StateDict* expected) {
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

/// Holds what bf16 or tf32 changes, at all points at which the recorder took its own bf16 run's
/// errors, against `factor` times those. The truth is the record, and where the record has no
/// numbers `single`, the same network in f32.
void compare_rounding(Verification& result, const Subject& rounded, const Subject& single,
                      const StateDict& record, double factor) {
  const auto compute = [&](const Subject& subject, int k) {
    const float scale = 1 - float(k) / 64;
    return result.kind == RecordKind::forward ? outputs(subject, record, scale)
                                              : gradients(subject, record, scale);
  };
  std::map<std::string, double> squares;
  for (int k = 0; k < kBf16Points; ++k) {
    StateDict found = compute(rounded, k);
    const StateDict truth = k == 0 ? record : compute(single, k);
    for (const auto& [name, got] : found) {
      const double rms = compare(name, got, recorded(truth, name), kAny).rms_difference;
      squares[name] += rms * rms / kBf16Points;
    }
    if (k == 0) result.computed = std::move(found);
  }
  for (const auto& [name, square] : squares) {
    require_shape(record, "bf16_error." + name, {1});
    const double allowed = factor * double(recorded(record, "bf16_error." + name).values[0]);
    Comparison c = compare(name, result.computed.at(name), recorded(record, name), kAny);
    c.rms_difference = std::sqrt(square);
    c.rms_tolerance = allowed;
    c.ok = c.rms_difference <= allowed;
    result.comparisons.push_back(c);
  }
}

StateDict recomputed(RecordKind kind, const Subject& subject, const StateDict& record) {
  switch (kind) {
    case RecordKind::forward:
      return outputs(subject, record, 1);
    case RecordKind::grad:
      return gradients(subject, record, 1);
    case RecordKind::sample:
      return samples(subject, record);
    case RecordKind::train:
      break;
  }
  return losses(subject, record);
}

/// Records hold images, times and noise: no classes, no variances, no earlier predictions.
void refuse_what_no_record_holds(const NetworkConfig& config, const DiffusionConfig& diffusion) {
  if (config.num_classes > 0)
    throw InputError(cat("model.num_classes: ", config.num_classes,
                         "; a record has no classes: 0, for a network that takes none"));
  if (diffusion.variance == Variance::learned)
    throw InputError(
        "diffusion.variance: learned; a record has no variances: beta or beta_tilde, for a network "
        "that predicts none");
  if (config.self_condition)
    throw InputError("model.self_condition: true; a record has no earlier predictions: false");
}

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
  refuse_what_no_record_holds(config, diffusion);
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
    allocate_from(network->parameters(), context.stream, trains, type, weights);
    return network;
  };
  const auto network = ready(context.activations);
  const Subject subject{context, config, diffusion, *network};
  if (rounds) {
    engine::Context f32(exact, DType::f32);
    f32.fusion = context.fusion;
    const auto truth = ready(DType::f32);
    compare_rounding(result, subject, {f32, config, diffusion, *truth}, record,
                     bf16 ? kBf16 : kTf32);
    return result;
  }
  compare_all(result, recomputed(result.kind, subject, record), record);
  if (result.kind == RecordKind::train) compare_weights(result, *network, expected);
  return result;
}

}  // namespace haze::model
