// SPDX-License-Identifier: MIT
// verify.h — a network and its diffusion held against numbers that another framework recorded.
//
// A record is a map of named tensors in PyTorch's layout. What it is shows in its names:
//   forward  x [B,C,H,W], t [B], eps [B,C,H,W]     eps = network(x, t)
//   grad     x0, t, noise, loss [1],               loss = mean((noise - network(x_t, t))²)
//            grad.<parameter>
//   sample   x_T, z [S,B,C,H,W], x_0               the DDPM chain with z[k] at step k of S
//   train    x0, t, noise with a leading axis      S steps of Adam, the loss before each
//            of S, loss [S]
// Dropout is off in all of them; a train record means lr 1e-3, betas 0.9/0.999 and eps 1e-8, or
// that of an optional tensor adam_eps [1]: with a small eps, Adam turns a gradient that is zero but
// for rounding into a step of full size. x_t is made with the schedule in float32, as recorders
// hold it.
//
// forward and grad records may also hold bf16_error.NAME [1] for each of their results: how far a
// bf16 run of the other framework is from the truth, as a root mean square over the tensor and over
// eight points, the record's x or x0 times 1 - k/64.
#pragma once
#include <string>
#include <vector>

#include "model/weights.h"

namespace haze::model {

/// One tensor, recomputed and recorded. It is ok if no element differs by more than `tolerance` and
/// the root mean square of the differences is at most `rms_tolerance`; NaN is never ok.
struct Comparison {
  std::string name;
  double largest = 0;         // largest |recorded value|
  double max_difference = 0;  // largest |recomputed - recorded|; NaN if either holds a NaN
  double rms_difference = 0;
  double tolerance = 0, rms_tolerance = 0;
  bool ok = false;
  /// max_difference relative to `largest`; 0 where both are 0.
  double relative() const;
};

enum class RecordKind : std::uint8_t { forward, grad, sample, train };

struct Verification {
  RecordKind kind{};
  std::vector<Comparison> comparisons;
  StateDict computed;  // under the record's names and shapes; of a train record, the weights too
  bool ok() const;
};

/// What a record is. Throws InputError if its names are none of the above.
RecordKind kind_of(const StateDict& record);
const char* name_of(RecordKind kind);

/// Recomputes `record` with the network of `config` and `weights`. Integers (t) are given as
/// floats. `expected`, for a train record only, is the state dict after its steps. Tolerances, for
/// f32: outputs, losses and images 1e-4; a gradient 1e-3 of its largest value, and at least 1e-6 of
/// the largest gradient in the record, because a gradient that is zero by symmetry (the bias of
/// to_k) is recorded as rounding noise; trained weights 1e-2 of the tensor's largest value and 1e-5
/// root mean square. In bf16 (context.activations): the root mean square of what bf16 changes,
/// taken as bf16_error was, at most twice that; rms_difference holds it. With the stream's tf32
/// set: the same with a quarter of bf16_error, because tf32 rounds to an eighth of bf16's unit.
/// Throws InputError for weights or a record that do not fit the network.
Verification verify(engine::Context& context, NetworkConfig config,
                    const DiffusionConfig& diffusion, const StateDict& weights,
                    const StateDict& record, const StateDict* expected = nullptr);

}  // namespace haze::model
