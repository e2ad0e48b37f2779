// edit_options.cpp — the flags of `haze edit`.
#include "apps/flags.h"

namespace haze::apps {

void edit_flags(Flags flags, Options& o) {
  EditOptions& e = o.edit;
  flags.group("What to edit");
  flags.one_of("MODE", {"vary", "inpaint", "interpolate", "reconstruct"}, "",
               [&e](const std::string& mode) { e.mode = mode; });
  flags.list("--image", e.images, "FILE",
             "PNG or JPEG, or a data set's, as in mnist:DIR@7; repeatable");
  flags.text("--mask", e.mask, "FILE", "inpaint: PNG of the network's size, white: draw anew");
  flags.number("--strength", e.strength, 0.001, 1,
               "how far into noise, 1: all the way; not inpaint [0.5]");
  flags.number("--jump", e.jump, 1, 100000, "inpaint: steps after which to go back [10]");
  flags.number("--repeats", e.repeats, 1, 1000, "inpaint: how often each stretch is drawn [5]");
  sampler_flags(flags, e.sample, "ddpm; reconstruct: ddim");
  flags.group("Result");
  flags.text("--out", e.sample.out, "FILE|-", "PNG: what was given, then the result [edit.png]");
  metadata_flag(flags, e.sample);
  compute_flags(flags, o.common, e.sample.fusion);
  flags.number("--batch", e.sample.batch, 1, 65536, "images per network call [64]");
  flags.precision(e.sample.precision, "of activations; tf32: on cuda [as trained]");
  common_flags(flags, o.common);
}

}  // namespace haze::apps
