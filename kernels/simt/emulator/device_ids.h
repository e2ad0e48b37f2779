// device_ids.h — CUDA's built-in variables: plain variables, set whenever the running thread
// changes.
#pragma once
#include "kernels/simt/emulator/vector_types.h"

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;
