// SPDX-License-Identifier: MIT
#include "apps/device.h"

#include <cstdlib>
#include <fstream>
#include <omp.h>

#include "engine/device.h"
#include "kernels/base/text.h"

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

std::string describe_cpu() { return cat(cpu_description(), ", ", thread_count(), " threads"); }

std::string describe_cuda(const engine::CudaDeviceInfo& d) {
  if (d.emulated) return cat(d.name, " (kernels run on the CPU: right results, no speed)");
  return cat(d.name, ", sm_", d.major, d.minor, ", ", d.multiprocessors, " multiprocessors, ",
             d.memory_bytes >> 20, " MiB of which ", d.free_bytes >> 20, " free; CUDA driver ",
             d.driver / 1000, '.', d.driver % 1000 / 10, ", run time ", d.runtime / 1000, '.',
             d.runtime % 1000 / 10);
}

}  // namespace

std::string device_description(const Stream& stream) {
  const auto cuda = engine::cuda_info(stream);
  return cuda ? describe_cuda(*cuda) : describe_cpu();
}

std::string computing_on(const Stream& stream, bool fusion) {
  return cat("computing on ", device_description(stream),
             fusion ? "" : ", fused ops as their parts");
}

std::vector<std::string> devices() {
  std::vector<std::string> all{"cpu: " + describe_cpu()};
  try {
    all.push_back(kHasCuda ? "cuda: " + device_description(engine::open_cuda(0))
                           : "cuda: not in this build");
  } catch (const std::exception& e) {
    all.push_back(cat("cuda: ", e.what()));
  }
  return all;
}

int thread_count() { return omp_get_max_threads(); }

void fit_threads(const CommonOptions& options, double multiply_adds) {
  constexpr double kWorthThreads = 3e7;
  if (options.threads > 0 || std::getenv("OMP_NUM_THREADS")) return;
  if (multiply_adds < kWorthThreads) omp_set_num_threads(1);
}

std::string cpu_description() { return cat(cpu_name(), ", ", instruction_set()); }

Stream open_device(const CommonOptions& options) {
  const std::string& device = options.device;
  if (device == "cpu") return CpuStream{};
  if (device == "cuda") return engine::open_cuda(0);
  if (device.starts_with("cuda:")) {
    if (const auto index = parse_number<int>(device.substr(5))) return engine::open_cuda(*index);
  }
  throw InputError(cat("--device: ", device, "; cpu, cuda or cuda:N"));
}

Stream in_precision(Stream stream, Precision precision, const char* key) {
  if (bool* const tf32 = tf32_of(stream))
    *tf32 = precision == Precision::tf32;
  else if (precision == Precision::tf32)
    throw InputError(
        cat(key, ": tf32; the CPU has no tf32 products: f32 or bf16, or --device cuda"));
  return stream;
}

}  // namespace haze::apps
