// SPDX-License-Identifier: MIT
#include "engine/tape.h"

#include <algorithm>

#include "kernels/add/add.h"
#include "kernels/base/check.h"
#include "kernels/base/sizes.h"
#include "kernels/runtime/memory.h"

namespace haze::engine {
namespace {

/// 1 in the shape of a loss: what it starts backward with. Written by the device, because a captured
/// step may not copy from the host.
Tensor one_like(Context& context, Shape shape) {
  const Tensor seed = empty(context, shape, DType::f32);
  context.run([&](auto s) { kernels::fill(s, seed.f32(), seed.size(), 1.0f); });
  return seed;
}

}  // namespace

const Tape::Node& Tape::node(Var v) const {
  HAZE_CHECK(v.id < nodes_.size(), "no value ", v.id, " on a tape of ", nodes_.size());
  return nodes_[v.id];
}

const Tensor& Tape::value(Var v) const {
  const Node& n = node(v);
  HAZE_CHECK(n.value, "the value of '", n.op, "' (", v.id, ") was released");
  return n.value;
}

std::vector<std::string_view> Tape::ops() const {
  std::vector<std::string_view> names;
  for (const Node& n : nodes_) names.emplace_back(n.op);
  return names;
}

Tensor Tape::empty(Shape shape, DType type) const {
  if (shape.size() > kMostElements)
    throw InputError(cat("a tensor of ", shape.str(), " has more than ", kMostElements,
                         " values; a smaller batch, or train.accumulate"));
  return engine::empty(context_, shape, type);
}

Var Tape::leaf(Tensor value, bool needs_grad) {
  nodes_.push_back({"leaf", std::move(value), {}, nullptr, needs_grad && recording_, nullptr, {}});
  return {std::uint32_t(nodes_.size() - 1)};
}

Var Tape::parameter(Parameters& parameters, ParamId id) {
  return joint_parameter(parameters, {id});
}

Var Tape::joint_parameter(Parameters& parameters, const std::vector<ParamId>& parts) {
  const bool trains = recording_ && parameters.gradients;
  nodes_.push_back(
      {"parameter", parameters.joint_value(parts), {}, nullptr, trains, &parameters, parts});
  return {std::uint32_t(nodes_.size() - 1)};
}

Var Tape::record(const char* op, Tensor value, std::initializer_list<Var> inputs, Backward rule) {
  const bool needs = std::ranges::any_of(inputs, [&](Var v) { return needs_grad(v); });
  nodes_.push_back(
      {op, std::move(value), {}, needs ? std::move(rule) : nullptr, needs, nullptr, {}});
  return {std::uint32_t(nodes_.size() - 1)};
}

kernels::Grad Tape::parameter_grad(Node& node) {
  Parameters& p = *node.parameters;
  const Tensor range = p.joint_range(p.gradients, node.parts);
  const bool first = !p.gradient_written(node.parts.front());
  for (const ParamId part : node.parts) {
    HAZE_CHECK(p.gradient_written(part) == !first, "of parameters used jointly '", p[part].name,
               "' was also used alone");
    p.mark_written(part);
  }
  return {range.raw(), DType::f32, first ? kernels::Write::overwrite : kernels::Write::add};
}

Tape::Node& Tape::before_its_rule(Var v) {
  Node& n = nodes_[v.id];
  HAZE_CHECK(!n.passed, "backward has already passed '", n.op, "' (", v.id, ")");
  return n;
}

kernels::Grad Tape::grad_of(Var v) {
  if (!needs_grad(v)) return {};
  Node& n = before_its_rule(v);
  if (n.parameters) return parameter_grad(n);
  if (!n.grad) {
    n.grad = empty(n.value.shape, n.value.dtype);
    return {n.grad.raw(), n.grad.dtype, kernels::Write::overwrite};
  }
  if (n.grad.storage.use_count() > 1) {  // shared by accumulate(): copy before writing
    const Tensor own = empty(n.grad.shape, n.grad.dtype);
    copy(context_, own, n.grad);
    n.grad = own;
  }
  return {n.grad.raw(), n.grad.dtype, kernels::Write::add};
}

void Tape::accumulate(Var v, const Tensor& gradient) {
  if (!needs_grad(v)) return;
  Node& n = before_its_rule(v);
  HAZE_CHECK(gradient.size() == n.value.size(), "gradient ", gradient.shape.str(), " for '", n.op,
             "' of shape ", n.value.shape.str());
  if (!n.parameters && !n.grad && gradient.dtype == n.value.dtype) {
    n.grad = gradient.reshaped(n.value.shape);
    return;
  }
  const kernels::Grad to = grad_of(v);
  run([&](auto s) { kernels::deliver(s, gradient.size(), gradient.in(), to); });
}

void Tape::release(Var v) {
  // The shape stays: grad_of() may still have to make a gradient of it.
  if (v) nodes_[v.id].value.storage = nullptr;
}

Tensor Tape::grad(Var v) const {
  const Node& n = node(v);
  if (!n.parameters) return n.grad;
  return n.parameters->joint_range(n.parameters->gradients, n.parts);
}

void Tape::backward(Var loss, Tensor seed) {
  HAZE_CHECK(needs_grad(loss), "nothing upstream of '", node(loss).op, "' needs a gradient");
  Node& last = before_its_rule(loss);
  if (!seed) {
    HAZE_CHECK(value(loss).size() == 1, "a loss is one number, got ", value(loss).shape.str());
    seed = one_like(context_, value(loss).shape);
  }
  last.grad = std::move(seed);
  for (std::size_t i = std::size_t(loss.id) + 1; i-- > 0;) {
    if (!nodes_[i].rule) continue;
    const Backward rule = std::move(nodes_[i].rule);
    nodes_[i].rule = nullptr;
    nodes_[i].passed = true;
    if (i != loss.id) nodes_[i].value.storage = nullptr;  // every reader of it lies above i
    const Tensor dy = std::move(nodes_[i].grad);
    nodes_[i].grad = {};  // consumed once: kept, it would count again
    if (dy) rule(*this, dy);
  }
}

}  // namespace haze::engine
