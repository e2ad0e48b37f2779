#include "apps/device.h"

#include <fstream>
#include <omp.h>

namespace haze::apps {
namespace {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      if (const auto colon = line.find(": "); colon != line.npos) return line.substr(colon + 2);
  return "CPU";
}

const char* instruction_set() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bf16")) return "AVX-512 with bf16";
  if (__builtin_cpu_supports("avx512f")) return "AVX-512";
  if (__builtin_cpu_supports("avx2")) return "AVX2";
#endif
  return "baseline instructions";
}

}  // namespace

int thread_count() { return omp_get_max_threads(); }

std::string cpu_description() { return cat(cpu_name(), ", ", instruction_set()); }

Stream open_device(const CommonOptions& options) {
  if (options.threads > 0) omp_set_num_threads(options.threads);
  const std::string& device = options.device;
  if (device == "cpu") return CpuStream{};
  if (device == "cuda" || device.starts_with("cuda:"))
    throw DeviceError(
        cat("--device: ", device, "; this haze was built for the CPU alone; use --device cpu"));
  throw InputError(cat("--device: ", device, "; cpu, cuda or cuda:N"));
}

}  // namespace haze::apps
