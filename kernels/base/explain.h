// SPDX-License-Identifier: MIT
// explain.h — a report of what kernels do, where the program was linked with traced ones.
#pragma once
#include <functional>
#include <string>

namespace haze::kernels {

/// Runs work, which launches CUDA kernels and waits for them, under the emulator's tracer, and
/// describes its traffic, bank conflicts and races (docs/simt.md).
using Explainer = std::string (*)(const std::function<void()>& work);
/// Null unless this program has the traced kernels (kernels/simt/trace sets it).
Explainer& explainer();

}  // namespace haze::kernels
