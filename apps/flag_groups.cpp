// SPDX-License-Identifier: MIT
#include "apps/flag_groups.h"

#include <random>

#include "apps/cpu_threads.h"

namespace haze::apps {

std::uint64_t seed_of(const std::string& text) {
  if (text == "random") return std::random_device()();
  const auto seed = parse_number<std::uint64_t>(text, 0, (std::uint64_t(1) << 53) - 1);
  if (!seed)
    throw InputError(cat("--seed: ", text, "; a whole number from 0 to 2^53 - 1, or random"));
  return *seed;
}

std::vector<int> size_of(const std::string& text) {
  constexpr int kLongest = 16384;
  std::vector<int> size;
  for (const std::string_view side : split(text, 'x'))
    size.push_back(parse_number<int>(side, 1, kLongest).value_or(0));
  if (size.size() != 2 || size[0] == 0 || size[1] == 0)
    throw InputError(cat("--size: ", text, "; HEIGHTxWIDTH in pixels, as in 32x32"));
  return size;
}

void common_flags(Flags& flags) {
  CommonOptions& o = flags.common;
  flags.group("Output");
  flags.boolean("-q,--quiet", o.quiet, "errors only");
  flags.boolean("-v,--verbose", o.verbose, "say more, such as where it computes");
  flags.choice("--color", o.color, "of messages; auto: on a terminal [auto]");
  flags.boolean("--no-progress", o.progress, "no bar and no progress lines", false);
  flags.output("--log-file", o.log_file, OutputKind::log, "FILE",
               "append what standard error says to FILE");
}

void compute_flags(Flags& flags, bool& fusion) {
  flags.group("Computing");
  flags.text("--device", flags.common.device, "cpu|cuda|cuda:N", "where to compute [cpu]",
             "HAZE_DEVICE");
  flags.number("--threads", flags.common.threads, 1, kMostThreads,
               "CPU threads [all, one for a small network]");
  flags.one_of("--fusion", {"on", "off"}, "off: fused ops run as the ops they are made of [on]",
               [&fusion](const std::string& s) { fusion = s == "on"; });
}

void precision_key(Flags& flags, Settings& settings) {
  flags.key("--precision", joined(kWords<Precision>, "|"), "train.precision", settings,
            "of activations; tf32: f32, products rounded [configuration's]");
}

void weights_flag(Flags& flags, bool& ema, bool& ema_asked) {
  flags.one_of("--weights", {"ema", "raw"}, "averaged or last weights [ema, where there are any]",
               [&](const std::string& s) { ema = s == "ema", ema_asked = true; });
}

void metadata_flag(Flags& flags, SampleOptions& s) {
  flags.boolean("--no-metadata", s.metadata, "leave out how it was made; haze info PNG shows that",
                false);
}

namespace {

std::vector<int> steps_of(const std::string& text, bool several) {
  std::vector<int> steps;
  for (const std::string_view part : split(text, ',')) {
    const auto n = parse_number<int>(part, 1, 100000);
    if (!n)
      throw InputError(
          cat("--steps: ", text,
              several ? "; whole numbers from 1 to 100000, separated by commas, as in 10,20"
                      : "; a whole number from 1 to 100000"));
    steps.push_back(*n);
  }
  if (steps.size() > 1 && !several)
    throw InputError(cat("--steps: ", text, "; one number; haze sample compares several"));
  return steps;
}

}  // namespace

void sampler_flags(Flags& flags, SampleOptions& s, const std::string& usual, bool compares) {
  flags.group("What to sample");
  flags.input("--checkpoint", s.checkpoint, "PATH",
              "a run folder (its newest good checkpoint) or a file");
  weights_flag(flags, s.ema, s.ema_asked);
  flags.number("-n,--n", s.n, 1, 1 << 20, cat("images [", s.n, "]"));
  flags.value("--seed", "N|random", "of what is drawn at random [0]",
              [&s](const std::string& t) { s.seed = seed_of(t); });
  flags.group("Sampler");
  Strings samplers = words_of<model::SamplerKind>();
  if (compares) samplers.emplace_back("all");
  flags.one_of(
      "--sampler", samplers,
      cat("dpmpp: DPM-Solver++ 2M", compares ? "; all: side by side" : "", " [", usual, "]"),
      [&s](const std::string& t) {
        s.sampler = value_of<model::SamplerKind>(t);
        s.all_samplers = !s.sampler;
      });
  flags.value("--steps", compares ? "N,..." : "N",
              cat("steps per image", compares ? "; several: side by side" : "", " [the chain's]"),
              [&s, compares](const std::string& t) {
                s.all_steps = steps_of(t, compares);
                s.steps = s.all_steps[0];
              });
  flags.number("--eta", s.eta, 0, 1, "noise of ddim: 0 none, 1 as ddpm [0]");
  flags.choice("--spacing", s.spacing, "which times a shorter chain visits [linspace]");
  flags.group("Classes, of a network trained with model.num_classes");
  flags.text("--class", s.label, "NAME|N|each|none",
             "by its name, or number; each: one after the other [none]");
  flags.number("--guidance", s.guidance, -1000, 1000,
               "weight of classifier-free guidance; 1: none, 0: no class [1]");
  flags.number("--guidance-rescale", s.rescale, 0, 1,
               "part in which its contrast is taken back [0]");
}

}  // namespace haze::apps
