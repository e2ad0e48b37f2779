// SPDX-License-Identifier: MIT
// flag_groups.h — flags that several subcommands have, and the values that they take.
#pragma once
#include "apps/flags.h"
#include "apps/sample_options.h"

namespace haze::apps {

/// What --seed takes: a number below 2^53, or "random".
std::uint64_t seed_of(const std::string& text);
/// What --size takes: height and width from "32x48".
std::vector<int> size_of(const std::string& text);

/// --quiet and its like, which every subcommand has.
void common_flags(Flags& flags);
/// --device, --threads, --fusion.
void compute_flags(Flags& flags, bool& fusion);
/// --precision as a configuration key, of commands that build a network.
void precision_key(Flags& flags, Settings& settings);
/// --no-metadata, of commands that draw pictures of samples.
void metadata_flag(Flags& flags, SampleOptions& s);
/// --weights: averaged (ema) or last ones; ema_asked: it was given.
void weights_flag(Flags& flags, bool& ema, bool& ema_asked);
/// What to sample from, and how. The defaults are those of `s`, the sampler's is called `usual`;
/// `compares`: several samplers and numbers of steps may be asked for at once.
void sampler_flags(Flags& flags, SampleOptions& s, const std::string& usual, bool compares = false);

}  // namespace haze::apps
