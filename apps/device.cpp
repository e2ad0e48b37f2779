#include "apps/device.h"

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <omp.h>

#include "kernels/runtime/device.h"

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

Stream open_cuda([[maybe_unused]] int index) {
#if defined(HAZE_CUDA)
  return kernels::open_cuda(index);
#else
  throw DeviceError(cat("--device: cuda:", index,
                        "; this haze was built for the CPU alone; use --device cpu, or build the "
                        "preset cuda or simt"));
#endif
}

std::string describe_cpu() { return cat(cpu_description(), ", ", thread_count(), " threads"); }

#if defined(HAZE_CUDA)
std::string describe_cuda() {
  const kernels::CudaDeviceInfo d = kernels::cuda_device_info();
  if (d.emulated) return cat(d.name, " (kernels run on the CPU: right results, no speed)");
  return cat(d.name, ", sm_", d.major, d.minor, ", ", d.multiprocessors, " multiprocessors, ",
             d.memory_bytes >> 20, " MiB of which ", d.free_bytes >> 20, " free; CUDA driver ",
             d.driver / 1000, '.', d.driver % 1000 / 10, ", run time ", d.runtime / 1000, '.',
             d.runtime % 1000 / 10);
}
#endif

}  // namespace

std::string device_description(const Stream& stream) {
#if defined(HAZE_CUDA)
  if (std::holds_alternative<CudaStream>(stream)) return describe_cuda();
#endif
  return std::holds_alternative<CpuStream>(stream) ? describe_cpu() : "unknown";
}

std::string computing_on(const Stream& stream, bool fusion) {
  return cat("computing on ", device_description(stream),
             fusion ? "" : ", fused ops as their parts");
}

std::vector<std::string> devices() {
  std::vector<std::string> all{"cpu: " + describe_cpu()};
#if defined(HAZE_CUDA)
  try {
    kernels::open_cuda(0);
    all.push_back("cuda: " + describe_cuda());
  } catch (const std::exception& e) {
    all.push_back(cat("cuda: ", e.what()));
  }
#else
  all.push_back("cuda: not in this build");
#endif
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
  if (options.threads > 0) omp_set_num_threads(options.threads);
  const std::string& device = options.device;
  if (device == "cpu") return CpuStream{};
  if (device == "cuda") return open_cuda(0);
  if (device.starts_with("cuda:")) {
    int index = 0;
    const char *first = device.data() + 5, *last = device.data() + device.size();
    const auto [end, error] = std::from_chars(first, last, index);
    if (error == std::errc() && end == last && first != last) return open_cuda(index);
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
