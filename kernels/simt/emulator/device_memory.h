// SPDX-License-Identifier: MIT
// device_memory.h — the emulated device's memory. For the emulator's own files and the tests.
#pragma once
#include <cstddef>

namespace haze::simt {

/// What the emulated device has: HAZE_SIMT_MEMORY MiB, or 16 GiB; tests lower it to run out.
std::size_t& device_capacity();
std::size_t device_bytes_in_use();

/// 256-byte aligned, filled with NaN bits; null when the device is full.
void* device_allocate(std::size_t bytes);
/// False if p is not an allocation.
bool device_free(void* p);
/// Throws Error unless [p, p + bytes) lies in one allocation.
void check_device_range(const void* p, std::size_t bytes, const char* what);
bool is_device(const void* p);
/// The allocation that contains p; false if there is none.
bool device_allocation(const void* p, const void*& first, std::size_t& bytes);

/// While one lives, the memory may be touched: kernels and copies hold it. It stays open until the
/// host synchronises and so might read it: closing it after every launch would cost more than
/// the launches themselves.
class DeviceMemoryOpen {
 public:
  DeviceMemoryOpen();
  ~DeviceMemoryOpen();
  DeviceMemoryOpen(const DeviceMemoryOpen&) = delete;
  DeviceMemoryOpen& operator=(const DeviceMemoryOpen&) = delete;
};

void close_device_memory();

}  // namespace haze::simt
