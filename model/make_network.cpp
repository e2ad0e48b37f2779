// SPDX-License-Identifier: MIT
// make_network.cpp — from a configuration to its family's network.
#include "model/conv_denoiser.h"
#include "model/linear_denoiser.h"
#include "model/point_mlp.h"
#include "model/unet.h"

namespace haze::model {

std::unique_ptr<Network> make_network(const NetworkConfig& config) {
  if (config.is_unet()) return std::make_unique<UNet>(config);
  for (const auto& [key, value] :
       {std::pair{"hidden", config.hidden}, std::pair{"image_channels", config.image_channels},
        std::pair{"time steps", config.time_steps}})
    if (value < 1) throw InputError(cat("model.", key, ": ", value, "; at least 1"));
  if (config.family == Family::point_mlp) return std::make_unique<PointMlp>(config);
  if (config.family == Family::conv_denoiser) return std::make_unique<ConvDenoiser>(config);
  return std::make_unique<LinearDenoiser>(config);
}

void check_image_size(const NetworkConfig& config, int height, int width) {
  const auto refuse = [&](const std::string& allowed) {
    throw InputError(cat("image size: ", height, "x", width, "; ", allowed));
  };
  if (height < 1 || width < 1) refuse("at least 1x1");
  if (config.is_unet()) {
    const int m = config.size_multiple();
    if (height % m != 0 || width % m != 0)
      refuse(cat("height and width must be multiples of ", m, ", because the network has ",
                 config.levels(), " levels"));
  }
  if (config.family == Family::point_mlp && (height != 1 || width != 1))
    refuse("point_mlp takes 2-D points, which are images of 1x1: try --data points:s_curve");
  if (config.family == Family::linear_denoiser &&
      (height != config.image_height || width != config.image_width))
    refuse(cat("linear_denoiser was made for data.image_size [", config.image_height, ",",
               config.image_width, "]"));
}

}  // namespace haze::model
