// SPDX-License-Identifier: MIT
// sample_grid.h — sampled images as a picture that says how it was made.
#pragma once
#include <string>
#include <vector>

#include "apps/config/config.h"
#include "apps/data/classes.h"
#include "apps/image/image.h"
#include "apps/output_files.h"
#include "model/sampler.h"

namespace haze::apps {

/// What goes into the picture's iTXt chunk `haze`, enough to draw the same images again.
struct Recipe {
  std::string run;  // name of the run folder or checkpoint file
  std::uint64_t step = 0;
  bool ema = false;
  model::SamplingOptions options;
  int count = 0;
  std::string checkpoint = {};         // hash of the checkpoint; "": the run was still going on
  std::vector<std::string> rows = {};  // of a comparison, each row's "SAMPLER STEPS"
  std::string edit = {};               // mode of haze edit
  std::vector<std::string> init = {};  // and the images that it began with
  ClassNames classes = {};             // names of all classes, where they are known
};
std::string to_json(const Recipe& recipe);

/// What the grids of a training run show, and how they are drawn.
struct GridPlan {
  int count = 0;  // images, or points
  model::SamplingOptions options;
};
/// Of images a few by 50 steps of noisy DDIM (docs/decisions/0007), as many at once as a part of a
/// training batch has. Points are cheap and single ones say little: many of them, by the whole DDPM
/// chain. The classes of a conditional network take turns.
GridPlan plan_grid(const RunConfig& config);

/// Whether samples of that configuration can be shown: images of 1 or 3 channels, or 2-D points.
bool has_picture(const RunConfig& config);

/// InputError if sample_picture of so many images could not be written as a PNG.
void check_picture(const RunConfig& config, int n, int columns = 0);

/// The grid of images, of `columns` columns (0: as square as can be); of
/// points a panel with each `columns` of them (0: one with all). values
/// [n,H,W,C] in the data's range; InputError unless has_picture().
Image sample_picture(const std::vector<float>& values, int n, const RunConfig& config, int columns);
/// The same as a PNG with the recipe inside.
std::vector<std::uint8_t> grid_png(const std::vector<float>& values, int n, const RunConfig& config,
                                   const std::string& recipe, int columns = 0);

/// The images that the network predicts along the chain, as an animated PNG of at most 50 frames.
class Film {
 public:
  /// The options with a hook that adds the frames. `config` and this object outlive the sampling.
  model::SamplingOptions watching(model::SamplingOptions options, const RunConfig& config, int n);
  void write(const std::string& path, const std::string& recipe) const;

 private:
  std::vector<Image> frames_;
};

}  // namespace haze::apps
