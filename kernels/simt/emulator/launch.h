// SPDX-License-Identifier: MIT
// launch.h — HAZE_LAUNCH under the emulator.
#pragma once
#include <tuple>
#include <type_traits>
#include <utility>

#include "kernels/base/stream.h"
#include "kernels/simt/emulator/emulator.h"
#include "kernels/simt/emulator/runtime.h"

namespace haze::simt {

/// Runs the launch in its stream's turn: at once, or (Schedule::deferred) at a synchronisation.
cudaError_t enqueue_launch(void* stream, Launch launch);

template <class... P, class... A>
cudaError_t start(const char* name, void (*kernel)(P...), CudaStream stream, dim3 grid, dim3 block,
                  std::size_t dynamic_shared, A&&... arguments) {
  std::tuple<std::remove_cv_t<std::remove_reference_t<P>>...> values(static_cast<P>(arguments)...);
  return enqueue_launch(stream.handle, {name, grid, block, dynamic_shared,
                                        [kernel, values] { std::apply(kernel, values); },
                                        reinterpret_cast<const void*>(kernel)});
}

}  // namespace haze::simt
