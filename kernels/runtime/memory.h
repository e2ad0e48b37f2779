// SPDX-License-Identifier: MIT
// memory.h — the memory operations that a backend provides. allocate and release are called by the
// engine's arena and flat buffers only: no kernel allocates.
#pragma once
#include <cstddef>

namespace haze::kernels {

/// Uninitialised memory, 256-byte aligned. Throws RunError with the size when there is none.
template <class S>
void* allocate(S stream, std::size_t bytes);
template <class S>
void release(S stream, void* p) noexcept;
template <class S>
void zero(S stream, void* p, std::size_t bytes);
/// p[i] = value for i < n. n < 2^31.
template <class S>
void fill(S stream, float* p, std::size_t n, float value);
/// `host` may change, or go, as soon as this returns. On CUDA more than 4 KiB wait for the stream,
/// and nothing of it may be captured: CheckError.
template <class S>
void copy_in(S stream, void* device, const void* host, std::size_t bytes);
/// Blocks until the stream has reached this point, so `host` is readable on return.
template <class S>
void copy_out(S stream, void* host, const void* device, std::size_t bytes);
/// Device to device, in stream order.
template <class S>
void copy(S stream, void* to, const void* from, std::size_t bytes);

/// For whoever hands out parts of an allocation: from this point of the stream on nothing may touch
/// [p, p + bytes), until permit(). Builds with AddressSanitizer see to it, the emulated device's
/// memory included; others do nothing. Give allocations back permitted.
template <class S>
void forbid(S stream, void* p, std::size_t bytes);
template <class S>
void permit(S stream, void* p, std::size_t bytes);

}  // namespace haze::kernels
