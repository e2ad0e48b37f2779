// SPDX-License-Identifier: MIT
// ops.h — every differentiable operation, one declaration and one doc line each.
//
// An op checks, allocates, runs its kernel and records its gradient rule; each lives in
// ops/<name>.cpp, the element-wise functions in ops/pointwise.cpp. Images are NHWC: [N,H,W,C]. Token
// sequences are [N,T,C]. Weights are f32 or, in a bf16 run, bf16; biases and norm parameters are
// always f32. An empty Var means "none" where stated. A wrong shape or value throws CheckError with
// the values in the text.
#pragma once
#include <optional>

#include "engine/tape.h"
#include "kernels/base/philox.h"
#include "kernels/variational_bound/variational_bound.h"

namespace haze::engine {

/// An image in one tensor, or in two that concat_channels would join: the channels of `first`, then
/// those of `second`. An op that takes it reads both where they are; without context().fusion it
/// runs on their concatenation.
struct Joined {
  Var first, second;
  Joined(Var whole) : first(whole) {}
  Joined(Var a, Var b) : first(a), second(b) {}
};

// ---- convolution and matrix products -----------------------------------------------------------

struct Conv2dOptions {
  int stride = 1;                                                // 1 or 2
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;  // zeros
  static Conv2dOptions same(int kernel) {
    const int p = kernel / 2;
    return {1, p, p, p, p};
  }
  /// 3x3, stride 2: a zero on every side, or only at the right and the bottom.
  static Conv2dOptions half_symmetric() { return {2, 1, 1, 1, 1}; }
  static Conv2dOptions half_bottom_right() { return {2, 0, 0, 1, 1}; }
};
/// x [N,H,W,Ci], w [Co,kH,kW,Ci], bias [Co] or none -> [N,Ho,Wo,Co]. Two more summands may be
/// fused: per_channel [N,Co] (the time embedding) and residual [N,Ho,Wo,Co]; without
/// context().fusion they run as add_channel and add.
Var conv2d(Tape& tape, Joined x, Var w, Var bias, const Conv2dOptions& options,
           Var per_channel = {}, Var residual = {});
/// Transposed convolution 4x4, stride 2, pad 1: x [N,H,W,Ci], w [Co,4,4,Ci], bias [Co] or none
/// -> [N,2H,2W,Co]. PyTorch's ConvTranspose2d(ci, co, 4, 2, 1).
Var conv_transpose2d(Tape& tape, Var x, Var w, Var bias);
/// x [...,K], w [M,K], bias [M] or none -> [...,M]: y = x wᵀ + b. `residual` [...,M] may be fused.
Var linear(Tape& tape, Var x, Var w, Var bias, Var residual = {});

// ---- normalisation and activations -------------------------------------------------------------

/// x [N,H,W,C] or [N,T,C], gamma and beta [C]: statistics per image and group of C/groups channels.
Var group_norm(Tape& tape, Joined x, Var gamma, Var beta, int groups, float eps);
/// swish(group_norm(x)), in one op that keeps only x and the statistics.
Var group_norm_swish(Tape& tape, Joined x, Var gamma, Var beta, int groups, float eps);
/// x * sigmoid(x), also called SiLU.
Var swish(Tape& tape, Var x);
/// max(x, 0).
Var relu(Tape& tape, Var x);
/// a · b, equal shapes.
Var multiply(Tape& tape, Var a, Var b);
/// Zeroes each element with probability p and scales the rest by 1/(1-p). The mask is a function of
/// key, the image's index first_item + n and the element: recomputed in backward, never stored.
/// With p = 0 returns x itself.
Var dropout(Tape& tape, Var x, float p, RandomKey key, std::uint32_t first_item);

// ---- attention ---------------------------------------------------------------------------------

/// Where q, k and v of head h lie in the last axis of a fused projection [N,T,3C].
enum class QkvLayout : std::uint8_t {
  per_head,  // [head][q|k|v][d]   labml; guided-diffusion's legacy order
  global,    // [q|k|v][head][d]   diffusers with to_q, to_k, to_v as one product
};
/// qkv [N,T,3C] -> [N,T,C]: softmax(q kᵀ / sqrt(C/heads)) v per image and head, heads side by side.
Var attention(Tape& tape, Var qkv, int heads, QkvLayout layout);

// ---- shape and sums ----------------------------------------------------------------------------

/// a + b, equal shapes.
Var add(Tape& tape, Var a, Var b);
/// x [N,...,C] + v [N,C], the same vector at every pixel of an image.
Var add_channel(Tape& tape, Var x, Var v);
/// v [N,C] -> [N,height,width,C]: the same vector at every pixel.
Var broadcast_pixels(Tape& tape, Var v, int height, int width);
/// [N,H,W,Ca], [N,H,W,Cb] -> [N,H,W,Ca+Cb], a first.
Var concat_channels(Tape& tape, Var a, Var b);
/// Nearest neighbour: [N,H,W,C] -> [N,2H,2W,C].
Var upsample2x(Tape& tape, Var x);
/// The largest value, or the mean, under windows of side x side pixels, what lies outside the image
/// left out: [N,H,W,C] -> [N,(H+2pad-side)/stride+1,...,C]. No gradient.
Var max_pool(Tape& tape, Var x, int side, int stride, int pad = 0);
Var average_pool(Tape& tape, Var x, int side, int stride, int pad = 0);
/// The same elements under another shape.
Var reshape(Tape& tape, Var x, Shape shape);

// ---- diffusion ---------------------------------------------------------------------------------

/// The conventions of the sinusoidal embedding of t: formats differ in order and in the last
/// frequency. half = dim/2 and freq_i = exp(-ln(10000)·i/(half - freq_shift)).
struct TimeEmbedding {
  int dim = 0;                // even
  bool cosine_first = false;  // diffusers' flip_sin_to_cos; else [sin, cos]
  float freq_shift = 1;       // 1: labml, DDPM, google/ddpm-*; 0: diffusers' class default
  // labml rounds ln(10000)/(half - freq_shift) to f32 before the product with i, diffusers divides
  // last. The results differ by up to 6e-5 at t = 1000.
  bool step_first = false;
};
/// t [N] (i32) -> [N,dim]. No gradient.
Var time_embedding(Tape& tape, const Tensor& t, const TimeEmbedding& convention);
/// table [V,D], index [N] (i32, each in [0,V)) -> [N,D].
Var embedding(Tape& tape, Var table, const Tensor& index);

/// Standard normals [N,...] that are given, or drawn inside (key, first_item + n, element). The
/// same value handed to q_sample and to mse_loss means the same numbers.
struct Noise {
  Tensor given;  // f32; empty: draw
  RandomKey key;
  std::uint32_t first_item = 0;  // index of the batch's first image in the global batch
};
/// What a prediction is held against, by time: from_noise[t]·noise + from_x0[t]·x0, the squared
/// error weighted by weight[t]. Alone, the noise.
struct Target {
  Noise noise;     // of the data's shape
  Tensor x0 = {};  // of the data's shape, f32; needed with from_x0
  Tensor t = {};   // [N] i32; needed with any table
  Tensor from_noise = {}, from_x0 = {}, weight = {};  // [T] f32; empty: 1, 0, 1 for every t
  int channels = 0;  // of the data; 0: as many as pred has. With 2·channels, pred's last axis is
                     // [prediction | variance], and the variances have no part in the loss
};
/// mean(weight·(pred - target)²) as [1]. `scale` multiplies the gradient, not the value: 1/k for
/// the k-th part of an accumulated batch. The gradient is computed with the value, so what
/// backward() starts from must be 1. Unless empty, item_loss [N] f32 is overwritten with each
/// item's mean of (pred - target)², without weight.
Var mse_loss(Tape& tape, Var pred, const Target& target, float scale = 1,
             const Tensor& item_loss = {});

using kernels::BoundStep;
/// The variational bound of a batch: q_sample's x_t, the x0 it was made of, and what each time says
/// of posterior and model.
struct BoundBatch {
  Tensor x0, x_t, t;               // [N,...,C] f32; of the type of the activations; [N] i32
  Tensor table;                    // [T] BoundSteps, from bound_table()
  Tensor weight = {};              // [T] f32: of the items in the mean; empty: 1
  kernels::BoundRange range = {};  // the data's
};
/// A table over t for the whole of a run.
Tensor bound_table(Context& context, std::span<const BoundStep> steps);
/// mean(weight·L_t) as [1], L_t the bound's term in nats per dimension (KL of the
/// posteriors; at t = 0 the likelihood of 8-bit data). out [N,...,2C] is the network's
/// [prediction | variance] or, where the variance is the table's, [N,...,C]. Only the
/// variances get a gradient, as Nichol & Dhariwal 2021 train them beside mse_loss;
/// `scale` multiplies it, not the value, and what backward() starts from must be 1.
/// Unless empty, terms [N] f32 is overwritten with the L_t, without weight.
Var variational_bound(Tape& tape, Var out, const BoundBatch& batch, float scale = 1,
                      const Tensor& terms = {});

// ---- classification ----------------------------------------------------------------------------

/// Mean over N of -ln softmax(logits [N,classes])[label], labels [N] i32, as [1] f32; NaN for a
/// label outside [0, classes). `scale` multiplies the gradient, not the value, as in mse_loss.
Var cross_entropy(Tape& tape, Var logits, const Tensor& labels, float scale = 1);

}  // namespace haze::engine
