// SPDX-License-Identifier: MIT
// inception.h — Inception-v3 as the FID is computed with (Szegedy et al. 2015, arXiv 1512.00567;
// the variant of pytorch-fid, whose weights are those of Heusel et al. 2017): means in Mixed_5 and
// Mixed_6 leave the padding out, Mixed_7c takes a largest value where its siblings take a mean, and
// the layer before the 1008 outputs is what is measured in.
#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/layers.h"
#include "model/weights.h"

namespace haze::model {

class Inception {
 public:
  static constexpr int kFeatures = 2048, kSide = 299;
  /// Registers the parameters and fills them: of every convolution NAME the tensors
  /// NAME.conv.weight [co,ci,kh,kw] and NAME.bn.{weight,bias,running_mean,running_var} [co] of
  /// `state`, as torchvision and pytorch-fid name them. A batch norm of inference is a scale and a
  /// shift, so it is folded into its convolution (eps 0.001). fc.* and num_batches_tracked are not
  /// needed and left alone. InputError naming what is missing, left over or of another shape.
  Inception(const StateDict& state, Stream stream);

  /// x [N,299,299,3] f32 in [-1,1] -> [N,2048]: the mean over the last 8x8 pixels.
  engine::Var forward(engine::Tape& tape, engine::Var x);

 private:
  void add(const std::string& name, int in, int out, int height, int width, int stride = 1,
           bool padded = false);
  void add_blocks();
  void fill(const StateDict& state, Stream stream);
  engine::Parameters parameters_;
  std::map<std::string, Conv> convs_;
};

/// Bytes [count,H,W,channels] (grey is repeated) -> [count,2048]: scaled to [0,1], resized to
/// 299x299 as F.interpolate(mode="bilinear", align_corners=False) does, without smoothing, and
/// scaled to [-1,1]. `progress` is called after each batch with (images done, total).
std::vector<float> inception_features(engine::Context& context, Inception& network,
                                      std::span<const std::uint8_t> images, int count, int height,
                                      int width, int channels,
                                      const std::function<void(int, int)>& progress = {},
                                      int batch = 16);

}  // namespace haze::model
