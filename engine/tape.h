// SPDX-License-Identifier: MIT
// tape.h — reverse-mode autograd on an append-only list of nodes.
//
// Ops run eagerly and append one node each, so list order is already topological and backward() is
// a loop from the end. A Var is an index into the list: copying one is free and owns nothing.
//
// Who keeps what alive. A node holds its value until backward() has passed it or release() is
// called; a rule holds the tensors it captured until it has run. Whoever writes a network calls
// release() after the last use of an activation, and memory follows what the rules really need.
#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "engine/context.h"
#include "engine/device_tensor.h"
#include "engine/parameters.h"
#include "engine/tensor.h"

namespace haze::engine {

/// Index of a value on a tape.
struct Var {
  std::uint32_t id = UINT32_MAX;
  explicit operator bool() const { return id != UINT32_MAX; }
};

class Tape {
 public:
  /// Gradient rule of one op: given d(loss)/d(output), delivers to grad_of(each input).
  using Backward = std::function<void(Tape&, const Tensor& dy)>;

  /// With `recording` false no rule is kept and nothing needs a gradient: inference.
  explicit Tape(Context& context, bool recording = true)
      : context_(context), recording_(recording) {}

  Var leaf(Tensor value, bool needs_grad = false);
  /// A weight, consumed in the type its layer wants; its gradient lands in the flat buffer.
  Var parameter(Parameters& parameters, ParamId id);
  /// Parameters of one add_joint call as a single weight.
  Var joint_parameter(Parameters& parameters, const std::vector<ParamId>& parts);

  /// Appends an op's result. The rule is kept only if some input needs a gradient. An input that is
  /// an empty Var is skipped.
  Var record(const char* op, Tensor value, std::initializer_list<Var> inputs, Backward rule);

  /// Runs the rules from `loss` down, with d(loss)/d(loss) = `seed` (ones
  /// when empty). Gradients of leaves add up; those of intermediate values
  /// are freed as soon as their rule has run, and so are the values and what
  /// the rules captured: a tape runs backward once, and asking again throws.
  void backward(Var loss, Tensor seed = {});

  const Tensor& value(Var v) const;
  /// The gradient of a leaf after backward(); empty if none was wanted or none arrived.
  Tensor grad(Var v) const;
  /// The names of what was recorded so far, in order: ops, leaves and parameters.
  std::vector<std::string_view> ops() const;
  bool needs_grad(Var v) const { return v && nodes_[v.id].needs_grad; }

  /// Where a rule delivers the gradient of v: mode overwrite on first use, add afterwards; null
  /// data if v needs none (or is an empty Var).
  kernels::Grad grad_of(Var v);
  /// Delivers a whole tensor as gradient of v: shares it if it is the first, else adds it.
  void accumulate(Var v, const Tensor& gradient);
  /// Forgets the value of v. Rules that captured it keep it; value(v) is an error afterwards.
  void release(Var v);

  /// What ops take from the context's arena (device_tensor.h): a tensor, one in the type of the
  /// activations, scratch. InputError above 2^31 - 1 values, which kernels count in int: the batch is too large.
  Tensor empty(Shape shape, DType type) const;
  Tensor activation(Shape shape) const { return empty(shape, context_.activations); }
  std::shared_ptr<void> scratch(std::size_t bytes) const {
    return engine::scratch(context_, bytes);
  }
  /// As much scratch as bytes_of(the concrete stream) says.
  template <class F>
  requires std::invocable<F, CpuStream> std::shared_ptr<void> scratch(F&& bytes_of)
  const { return scratch(run(std::forward<F>(bytes_of))); }

  Context& context() const { return context_; }
  bool recording() const { return recording_; }
  /// Context::run.
  template <class F>
  auto run(F&& f, const std::source_location& from = std::source_location::current()) const {
    return context_.run(std::forward<F>(f), from);
  }

 private:
  struct Node {
    const char* op;
    Tensor value, grad;
    Backward rule;
    bool needs_grad = false;
    Parameters* parameters = nullptr;  // set for weights: gradients go to the flat buffer
    std::vector<ParamId> parts;
    bool passed = false;  // its rule has run: a gradient that arrived now would be lost
  };
  const Node& node(Var v) const;
  Node& before_its_rule(Var v);
  kernels::Grad parameter_grad(Node& node);

  Context& context_;
  bool recording_;
  std::vector<Node> nodes_;
};

}  // namespace haze::engine
