// SPDX-License-Identifier: MIT
// edit.cpp — `haze edit`: what a trained network makes of images that are given to it.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "apps/command.h"
#include "apps/device.h"
#include "apps/flag_groups.h"
#include "apps/given_image.h"
#include "apps/image/grid.h"
#include "apps/image/png.h"
#include "apps/memory_needs.h"
#include "apps/sample_grid.h"
#include "apps/sampling.h"
#include "apps/standard_output.h"
#include "apps/trained_model.h"
#include "model/editing.h"

namespace haze::apps {
namespace {

enum class Mode : std::uint8_t { vary, inpaint, interpolate, reconstruct };

}  // namespace

template <>
inline constexpr auto kWords<Mode> = words_for<Mode>("vary", "inpaint", "interpolate",
                                                     "reconstruct");

namespace {

struct EditOptions {
  EditOptions() { sample.n = 8, sample.out = "edit.png"; }
  SampleOptions sample;  // usual sampler: ddim to reconstruct, else ddpm
  std::optional<Mode> mode;
  std::vector<std::string> images;  // files, or DATASET@NUMBER
  std::string mask;
  double strength = 0.5;
  int jump = 10, repeats = 5;
};

void add_flags(Flags& flags, EditOptions& e) {
  flags.group("What to edit");
  flags.choice("MODE", e.mode, "");
  flags.inputs("--image", e.images, "FILE",
               "PNG or JPEG, or a data set's, as in mnist:DIR@7; repeatable");
  flags.input("--mask", e.mask, "FILE", "inpaint: PNG of the network's size, white: draw anew");
  flags.number("--strength", e.strength, 0.001, 1,
               "how far into noise, 1: all the way; not inpaint [0.5]");
  flags.number("--jump", e.jump, 1, 100000, "inpaint: steps after which to go back [10]");
  flags.number("--repeats", e.repeats, 1, 1000, "inpaint: how often each stretch is drawn [5]");
  sampler_flags(flags, e.sample, "ddpm; reconstruct: ddim");
  flags.group("Result");
  flags.output("--out", e.sample.out, OutputKind::picture, "FILE|-",
               "PNG: what was given, then the result [edit.png]");
  metadata_flag(flags, e.sample);
  compute_flags(flags, e.sample.fusion);
  flags.number("--batch", e.sample.batch, 1, 65536, "images per network call [64]");
  flags.choice("--precision", e.sample.precision, "of activations; tf32: on cuda [as trained]");
}

using Values = std::vector<float>;

struct Job {
  const EditOptions& options;
  const RunConfig& config;
  engine::Context& context;
  model::Network& network;
  model::SamplingOptions sampler;
  std::vector<Image> images;  // as given, in the network's size

  model::ImageSize size() const {
    return {config.data.image_size[0], config.data.image_size[1], config.model.image_channels};
  }
  Range range() const {
    return config.data.range == DataRange::zero_one ? Range::zero_to_one : Range::minus_one_to_one;
  }
  Values values(std::size_t k) const { return from_bytes(images[k].pixels, range()); }
};

Values inpaint(Job& job) {
  const EditOptions& o = job.options;
  const Image mask = open_mask(o.mask, job.size().height, job.size().width);
  model::Inpainting known{job.values(0), {}};
  for (const std::uint8_t byte : mask.pixels) known.mask.push_back(byte < 128);
  job.sampler.inpainting = std::move(known);
  job.sampler.jump_length = o.repeats > 1 ? o.jump : 0;
  job.sampler.jump_repeats = o.repeats;
  return model::sample(job.context, job.network, job.config.diffusion, o.sample.n,
                       job.size().height, job.size().width, job.size().channels, job.sampler);
}

Values edited(Job& job) {
  const EditOptions& o = job.options;
  const auto& diffusion = job.config.diffusion;
  if (o.mode == Mode::inpaint) return inpaint(job);
  job.sampler.strength = o.strength;
  if (o.mode == Mode::vary)
    return model::variations(job.context, job.network, diffusion, job.values(0), job.size(),
                             o.sample.n, job.sampler);
  if (o.mode == Mode::interpolate)
    return model::interpolation(job.context, job.network, diffusion, job.values(0), job.values(1),
                                job.size(), o.sample.n, job.sampler);
  Values all;
  for (std::size_t k = 0; k < job.images.size(); ++k) {
    const Values one = job.values(k);
    all.insert(all.end(), one.begin(), one.end());
  }
  return model::reconstruction(job.context, job.network, diffusion, all, job.size(), job.sampler);
}

/// Refuses whatever can be refused before a network is loaded.
void check(const EditOptions& o, const CommonOptions& common) {
  const std::size_t images = o.images.size();
  if (!o.mode) throw InputError("edit: vary, inpaint, interpolate or reconstruct?");
  if (images == 0)
    throw InputError("--image: not given; a PNG or JPEG file, or DATASET@NUMBER, e.g. mnist:DIR@7");
  const char* mode = name_of(*o.mode);
  const std::size_t most = o.mode == Mode::interpolate   ? 2
                           : o.mode == Mode::reconstruct ? 1 << 16
                                                         : 1;
  if (images > most || (o.mode == Mode::interpolate && images < 2))
    throw InputError(cat("--image: ", images, " given; ", mode, " takes ", most));
  if (o.mask.empty() == (o.mode == Mode::inpaint))
    throw InputError(o.mask.empty() ? "--mask: not given; a PNG, white where to draw anew"
                                    : cat("--mask: ", o.mask, "; it belongs to inpaint"));
  const bool inpaints = o.mode == Mode::inpaint, reconstructs = o.mode == Mode::reconstruct;
  if (inpaints) common.refuse({"--strength"}, mode, "it belongs to the other edits");
  if (!inpaints) common.refuse({"--jump", "--repeats"}, mode, "it belongs to inpaint");
  if (inpaints && o.repeats == 1)
    common.refuse({"--jump"}, "--repeats 1", "each stretch is drawn once, there is no way back");
  if (reconstructs)
    common.refuse({"--n", "--seed"}, mode, "it gives each image back and draws nothing");
  const auto sampler = o.sample.sampler;
  if (inpaints && o.repeats > 1 &&
      (sampler == model::SamplerKind::dpmpp || sampler == model::SamplerKind::heun))
    throw InputError(cat("--sampler: ", name_of(*sampler),
                         "; inpaint goes back and forth with ddpm or ddim; ",
                         "others take --repeats 1"));
}

int run(const EditOptions& options, const Program& program) {
  check(options, program.common);
  Console& console = program.console;
  const Stream stream = open_device(program.common);
  const SampleOptions& s = options.sample;
  TrainedModel trained(s, stream, console);
  const RunConfig& config = trained.config();
  const model::ImageSize size = trained.size();
  if (size.channels != 1 && size.channels != 3)
    throw InputError(cat(trained.weights.path, ": it was not trained on pictures"));
  SampleOptions drawn = s;
  if (options.mode == Mode::reconstruct) drawn.n = int(options.images.size());
  if (!s.sampler)
    drawn.sampler =
        options.mode == Mode::reconstruct ? model::SamplerKind::ddim : model::SamplerKind::ddpm;
  trained.fit_threads(program.common, std::min(drawn.n, s.batch));
  console.detail(computing_on(stream, trained.context.fusion));
  std::vector<Image> images;
  for (const std::string& where : options.images)
    images.push_back(open_given_image(where, size.height, size.width, size.channels));
  Job job{options,
          config,
          trained.context,
          *trained.network,
          sampler_options(drawn, config, trained.classes(), console),
          images};
  console.info(cat(trained.name(), "; ", name_of(*options.mode), ", ", drawn.n, " images, ",
                   name_of(job.sampler.kind), " ", job.sampler.steps, " steps, seed ", s.seed,
                   class_note(job.sampler.labels, trained.classes())));
  const int n = int(images.size()) + drawn.n;
  const int columns = options.mode == Mode::reconstruct ? int(images.size()) : n <= 12 ? n : 0;
  check_picture(config, n, columns);
  console.detail(sampling_needs(config, drawn.n, job.sampler, trained.computing()));
  const Values values = edited(job);
  console.clear_bar();

  // The picture shows what was given, then what was made of it.
  Values shown;
  for (std::size_t k = 0; k < images.size(); ++k) {
    const Values one = job.values(k);
    shown.insert(shown.end(), one.begin(), one.end());
  }
  shown.insert(shown.end(), values.begin(), values.end());
  HAZE_CHECK(shown.size() == std::size_t(n) * job.size().size(), shown.size(), " values");
  Recipe recipe = trained.recipe(s, job.sampler, drawn.n);
  recipe.edit = name_of(*options.mode);
  recipe.init = options.images;
  write_output(s.out, grid_png(shown, n, config, s.metadata ? to_json(recipe) : "", columns));
  if (s.out != "-") print_line(s.out);
  if (options.mode != Mode::reconstruct) return 0;
  double squares = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    squares += double(values[i] - shown[i]) * double(values[i] - shown[i]);
  console.info(cat("root mean square difference of the reconstruction: ",
                   std::sqrt(squares / double(values.size())), " (black to white is ",
                   job.range() == Range::zero_to_one ? 1 : 2, ")"));
  return 0;
}

}  // namespace

Command edit_command() {
  return {
      .name = "edit",
      .summary = "vary, inpaint, interpolate or reconstruct given images",
      .examples =
          R"(  haze edit vary --checkpoint runs/mnist --image mnist:data/mnist#test@7 --strength 0.4
  haze edit inpaint --checkpoint runs/mnist --image digit.png --mask mask.png --steps 100
  haze edit interpolate --checkpoint runs/mnist --image a.png --image b.png --strength 0.6
  haze edit reconstruct --checkpoint runs/mnist --image a.png --steps 50
)",
      .about =
          R"(vary noises the image part of the way and draws it anew; inpaint keeps what is black in the
mask, to the bit, and draws what is white; interpolate goes from one image to another;
reconstruct follows DDIM backwards, --strength of the way into noise, and back. The picture
shows what was given, then what was made of it.)",
      .action = {add_flags, run}};
}

}  // namespace haze::apps
