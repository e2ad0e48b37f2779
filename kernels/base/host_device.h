// SPDX-License-Identifier: MIT
// host_device.h — marks functions that run on both sides: in the CPU backend and in CUDA kernels.
#pragma once

#if defined(__CUDACC__)
#define HAZE_HD __host__ __device__
#else
#define HAZE_HD
#endif
