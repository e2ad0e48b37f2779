// SPDX-License-Identifier: MIT
// bench_choice.h — which kernels and shapes the user of `haze bench kernels` means.
#pragma once
#include <string>
#include <vector>

#include "engine/bench/kernel_cases.h"

namespace haze::apps {

/// A case to run, beside those versions of it that were named, or all.
struct ChosenKernel {
  std::string kernel;
  std::vector<std::string> versions;
  bool all = false;
};
/// What the user calls `wanted`: a case, all whose names begin so, or "case/version"; everything
/// if nothing is named. What is named twice, and a case of several versions, comes once. Throws
/// InputError, with the flag that it comes from, for what names none.
std::vector<ChosenKernel> choose_kernels(const char* flag, const std::vector<std::string>& wanted);

/// Those peers that were chosen. Throws InputError if a named version is none of this device's.
std::vector<engine::Peer> chosen_peers(const ChosenKernel& chosen, const engine::KernelCase& at);

/// Each of `wanted`, "n=64,h=16,c=128,co=128", once: what is left out keeps its default, co follows
/// c. `usual` if nothing is wanted. Throws InputError for what is no such text.
std::vector<engine::KernelShape> kernel_shapes(const std::vector<std::string>& wanted,
                                               const engine::KernelShape& usual);

}  // namespace haze::apps
