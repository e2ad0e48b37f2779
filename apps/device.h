// device.h — from --device and --threads to where work runs.
#pragma once
#include "apps/options.h"
#include "kernels/common/stream.h"

namespace haze::apps {

/// Throws DeviceError for a device that this build or machine lacks, InputError for no device at
/// all. Sets the number of CPU threads.
Stream open_device(const CommonOptions& options);

/// "AMD EPYC 7B13, 2 threads, avx512"; what the system says.
std::string cpu_description();
int thread_count();

}  // namespace haze::apps
