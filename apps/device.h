// SPDX-License-Identifier: MIT
// device.h — from --device and --threads to where work runs.
#pragma once
#include <string>
#include <vector>

#include "apps/common_options.h"
#include "apps/config/config.h"
#include "kernels/base/stream.h"

namespace haze::apps {

/// Throws DeviceError for a device that this build or machine lacks, InputError for no device at
/// all.
Stream open_device(const CommonOptions& options);

/// The stream, computing in this precision. InputError naming `key`, the flag or configuration key
/// that asked for it, for tf32 on the CPU.
Stream in_precision(Stream stream, Precision precision, const char* key = "--precision");

/// The stream's device in words: the CPU and its threads, or the GPU, its memory and the driver.
std::string device_description(const Stream& stream);
/// "computing on ...", for --verbose: the device as it is set up now, and whether ops are fused.
std::string computing_on(const Stream& stream, bool fusion);
/// device_description of every device of this machine, a line each;
/// what is wrong with cuda where it is.
std::vector<std::string> devices();

/// Lets a small network compute on one thread: where the work of a step, in multiply-adds, takes
/// less than about a millisecond, dividing it costs more than it saves, and far more when other
/// programs run. Does nothing if --threads or OMP_NUM_THREADS say how many.
void fit_threads(const CommonOptions& options, double multiply_adds);
/// "AMD EPYC 7B13, 2 threads, avx512"; what the system says.
std::string cpu_description();
int thread_count();

}  // namespace haze::apps
