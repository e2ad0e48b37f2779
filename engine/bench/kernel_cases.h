// SPDX-License-Identifier: MIT
// kernel_cases.h — every kernel as something to time: what `haze bench kernels` runs.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/context.h"
#include "engine/device.h"
#include "engine/tensor.h"

namespace haze::engine {

/// One size for all kernels: images [n,h,h,c], convolved to co channels. Kernels without images read
/// the letters in their own way, which shape_reading() says.
struct KernelShape {
  int n = 64, h = 16, c = 128, co = 128;
  std::string str() const;  // "n=64,h=16,c=128,co=128"
  bool operator==(const KernelShape&) const = default;
};

/// What else computes a case's result from the same buffers.
struct Peer {
  std::string impl;  // an earlier version of the kernel, "v1_naive", or a library, "cudnn"
  std::function<void()> run;
  Tensor result;  // what run overwrites: the shipped kernel's result, or a tensor of its own
};

/// One kernel call on buffers of its own. Bytes are those that must move at least (each input read
/// once, each output written once); flops count a multiply-add as two, and only the products.
struct KernelCase {
  std::string kernel;  // "conv3x3.dgrad"
  double bytes = 0, flops = 0;
  std::function<void()> run;
  Tensor result;  // what run overwrites; given where there are peers to compare it with
  std::vector<Peer> peers;
  std::vector<std::string> without;  // libraries that are here but do not compute it, and why
};

/// The names of all cases, in the order in which they are timed, each followed by the earlier
/// versions that this build has of it: "conv3x3.forward", "conv3x3.forward/v1_naive".
std::vector<std::string> kernel_case_names();
/// What the letters of a shape are to the named case: "n*h*h rows, from c to co features". Throws
/// InputError for a name that is none.
std::string shape_reading(const std::string& name);
/// InputError for a shape of which some case would have a tensor of 2^31 values or more.
void check_kernel_shape(const KernelShape& shape);
/// The named case in the context's device and type; a name is of a case, not of a version. Throws
/// InputError for a name that is none, or a shape that the kernel cannot have.
KernelCase kernel_case(Context& context, const std::string& name, const KernelShape& shape);
/// How far a peer's result is from the shipped kernel's: the root mean square of the difference
/// over that of the result. Runs both, on a result of zeros.
double difference(Context& context, const KernelCase& shipped, const Peer& peer);

/// The libraries that products have as peers on a GPU: their versions, or why they are not there.
std::vector<std::string> describe_baselines();

/// kernels::time_milliseconds, and below measure_roof, of the context's device.
double time_milliseconds(Context& context, int times, const std::function<void()>& work);
/// kernels::ColdTimer of the context's device: milliseconds
/// of one call after the caches held something else.
using ColdTimer = std::function<double(const std::function<void()>& work)>;
ColdTimer cold_timer(Context& context);
struct Roof {
  double copy_bytes_per_s = 0, matrix_flops = 0;  // 0: not known
};
Roof measure_roof(Context& context);

/// kernels::check_timers of the context's device; nothing on the CPU, which has one clock.
struct TimerCheck {
  double empty_hot, empty_cold, lengthy_hot, lengthy_cold;  // milliseconds
};
std::optional<TimerCheck> check_timers(Context& context);

}  // namespace haze::engine
