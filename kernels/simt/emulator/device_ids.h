// SPDX-License-Identifier: MIT
// device_ids.h — CUDA's built-in variables: plain ones, set whenever another thread runs on.
#pragma once
#include "kernels/simt/emulator/vector_types.h"

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;
