// kernel_cases.h — every kernel as something to time: what `haze bench kernels` runs.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/tape.h"

namespace haze::engine {

/// One size for all kernels: images [n,h,h,c], convolved to co channels.
struct KernelShape {
  int n = 64, h = 16, c = 128, co = 128;
  std::string str() const;  // "n=64,h=16,c=128,co=128"
};

/// One kernel call on buffers of its own. Bytes are those that must move at least (each input read
/// once, each output written once); flops count a multiply-add as two, and only the products.
struct KernelCase {
  std::string kernel;  // "conv3x3.dgrad"
  double bytes = 0, flops = 0;
  std::function<void()> run;
};

/// The names of all cases, in the order of kernel_cases().
std::vector<std::string> kernel_case_names();
/// The named case in the context's device and type. Throws InputError for a name that is none, or a
/// shape that the kernel cannot have.
KernelCase kernel_case(Context& context, const std::string& name, const KernelShape& shape);

/// time_milliseconds and measure_roof of the context's device.
double time_milliseconds(Context& context, int times, const std::function<void()>& work);
/// Waits for all work of the context's stream.
void synchronise(const Context& context);
struct Roof {
  double copy_bytes_per_s = 0, matrix_flops = 0;  // 0: not known
};
Roof measure_roof(Context& context);

}  // namespace haze::engine
