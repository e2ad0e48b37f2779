// SPDX-License-Identifier: MIT
// late.h — values that are known when a kernel is launched, or only when it runs.
#pragma once
#include "kernels/base/host_device.h"

namespace haze {

/// A T that is either given now or lies where the kernel runs (`late_at`). A kernel reads it once, at
/// its start: a captured CUDA graph then takes what lies at the address at each replay.
template <class T>
struct Late {
  T value{};
  const T* at = nullptr;
  Late() = default;
  HAZE_HD constexpr Late(const T& v, const T* address = nullptr) : value(v), at(address) {}
  HAZE_HD T get() const { return at ? *at : value; }
};

/// The T that lies at this address of the device when a kernel reads it.
template <class T>
Late<T> late_at(const T* address) {
  return {T{}, address};
}

}  // namespace haze
