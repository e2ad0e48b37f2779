// SPDX-License-Identifier: MIT
#include "model/blocks.h"

#include "engine/random.h"

namespace haze::model {

using engine::Shape;
using engine::Tape;
using engine::Var;

namespace {

/// Releases v after its last use and hands on the result: `return then_release(tape, y, {x})`.
Var then_release(Tape& tape, Var result, std::initializer_list<Var> consumed) {
  for (const Var v : consumed) tape.release(v);
  return result;
}

}  // namespace

ResidualBlock::ResidualBlock(LayerBuilder& builder, const BlockStyle& style,
                             const std::string& name, int in, int out)
    : norm1(builder.norm(name + ".norm1", in, style.groups, style.eps)),
      norm2(builder.norm(name + ".norm2", out, style.groups, style.eps)),
      conv1(builder.conv_same(name + ".conv1", in, out, 3)),
      conv2(builder.conv_same(name + ".conv2", out, out, 3)),
      time(builder.linear(cat(name, '.', style.names.time), style.time_width, out)),
      dropout(style.dropout),
      dropout_index(builder.next_dropout()) {
  if (in != out) shortcut = builder.conv_same(cat(name, '.', style.names.shortcut), in, out, 1);
}

Var ResidualBlock::operator()(const Pass& pass, engine::Joined x, Var temb, bool consume) const {
  Tape& tape = pass.tape;
  if (x.second && (!shortcut || !tape.context().fusion)) {  // joined once for both readers
    const Var joined = engine::concat_channels(tape, x.first, x.second);
    if (consume) tape.release(x.first), tape.release(x.second);
    x = joined;
    consume = true;
  }
  const Var a1 = norm1.swish(pass, x);
  // Early, so that x, in the up path twice as wide as the result, can go before the convolutions.
  const Var straight = shortcut ? (*shortcut)(pass, x) : x.first;
  if (shortcut && consume) tape.release(x.first), tape.release(x.second);
  const Var shift = time(pass, temb);
  const Var h = then_release(tape, conv1(pass, a1, shift), {a1, shift});
  Var a2 = then_release(tape, norm2.swish(pass, h), {h});
  if (pass.random && dropout > 0) {
    const TrainingRandom& r = *pass.random;
    const RandomKey key{r.seed, engine::streams::kDropout + dropout_index, r.step};
    a2 = then_release(tape, engine::dropout(tape, a2, dropout, key, r.first_item), {a2});
  }
  const Var y = then_release(tape, conv2(pass, a2, {}, straight), {a2});
  if (shortcut || consume) tape.release(straight);
  return y;
}

AttentionBlock AttentionBlock::labml(LayerBuilder& builder, const BlockStyle& style,
                                     const std::string& name, int channels) {
  AttentionBlock block;
  block.norm = builder.norm(name + ".norm", channels, style.groups, style.eps);
  const Linear qkv = builder.linear(name + ".projection", channels, 3 * channels);
  block.projection = {{qkv.weight}, {qkv.bias}};
  block.output = builder.linear(name + ".output", channels, channels);
  block.layout = engine::QkvLayout::per_head;
  return block;
}

AttentionBlock AttentionBlock::ddpm(LayerBuilder& builder, const BlockStyle& style,
                                    const std::string& name, int channels) {
  const int head_dim = style.head_dim > 0 ? style.head_dim : channels;
  if (channels % head_dim != 0)
    throw InputError(cat("model.attention_head_dim: ", head_dim, "; it must divide the ", channels,
                         " channels of ", name));
  AttentionBlock block;
  block.norm = builder.norm(name + ".group_norm", channels, style.groups, style.eps);
  block.applies_norm = true;
  block.projection =
      builder.joint_linear({name + ".to_q", name + ".to_k", name + ".to_v"}, channels, channels);
  block.output = builder.linear(name + ".to_out.0", channels, channels);
  block.layout = engine::QkvLayout::global;
  block.heads = channels / head_dim;
  return block;
}

Var AttentionBlock::operator()(const Pass& pass, Var x) const {
  Tape& tape = pass.tape;
  const Shape image = tape.value(x).shape;
  const Shape tokens{image[0], image[1] * image[2], image[3]};
  const Var seq = engine::reshape(tape, x, tokens);
  const Var in = applies_norm ? norm(pass, seq) : seq;
  const Var qkv = projection(pass, in);
  if (applies_norm) tape.release(in);
  const Var mixed = then_release(tape, engine::attention(tape, qkv, heads, layout), {qkv});
  const Var y = then_release(tape, output(pass, mixed, seq), {mixed, seq, x});
  return then_release(tape, engine::reshape(tape, y, image), {y});
}

Var TimeMlp::operator()(const Pass& pass, const engine::Tensor& t,
                        const engine::Tensor& labels) const {
  Tape& tape = pass.tape;
  HAZE_CHECK(bool(labels) == classes.has_value(), "labels ", labels.shape.str(),
             classes ? "; the network is conditional" : "; the network is unconditional");
  const Var e = engine::time_embedding(tape, t, convention);
  const Var h1 = then_release(tape, lin1(pass, e), {e});
  const Var a1 = then_release(tape, engine::swish(tape, h1), {h1});
  Var h2 = then_release(tape, lin2(pass, a1), {a1});
  if (classes) {
    const Var c = (*classes)(pass, labels);
    h2 = then_release(tape, engine::add(tape, h2, c), {h2, c});
  }
  return then_release(tape, engine::swish(tape, h2), {h2});
}

}  // namespace haze::model
