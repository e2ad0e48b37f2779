// SPDX-License-Identifier: MIT
// kernel_cases.cpp — the table of all cases, and what is done with one.
#include "engine/bench/kernel_cases.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "engine/bench/baselines/baselines.h"
#include "engine/bench/kernel_buffers.h"
#include "kernels/base/sizes.h"
#include "kernels/runtime/timer.h"

namespace haze::engine {
namespace {

std::vector<KernelCaseMaker> makers() {
  std::vector<KernelCaseMaker> all = product_kernel_cases();
  for (const auto& some : {image_kernel_cases(), diffusion_kernel_cases(), label_kernel_cases()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

KernelCaseMaker maker_of(const std::string& name) {
  for (const KernelCaseMaker& row : makers())
    if (row.name == name) return row;
  throw InputError(cat("kernel: ", name, "; haze bench kernels --list names them"));
}

/// The values of `result` after `run`, which has to write them: they are zeros before.
std::vector<float> result_of(Context& context, const std::function<void()>& run,
                             const Tensor& result) {
  zero(context, result);
  run();
  return download(context, result);
}

}  // namespace

std::string KernelShape::str() const { return cat("n=", n, ",h=", h, ",c=", c, ",co=", co); }

std::vector<std::string> kernel_case_names() {
  std::vector<std::string> names;
  for (const KernelCaseMaker& row : makers()) {
    names.push_back(row.name);
    if (!kHasCuda) continue;
    for (const std::string& version : row.earlier) names.push_back(cat(row.name, '/', version));
  }
  return names;
}

std::string shape_reading(const std::string& name) { return maker_of(name).reading; }

void check_kernel_shape(const KernelShape& shape) {
  // The widest of a case's images has n·h·h·4·max(c, co) values, its weights have up to 16·c·co.
  const std::uint64_t n(shape.n), h(shape.h), c(shape.c), co(shape.co);
  if (!product_within({4, n, h, h, std::max(c, co)}, kMostElements) ||
      !product_within({16, c, co}, kMostElements))
    throw InputError(cat("shape ", shape.str(),
                         ": too large; 4·n·h·h·max(c,co) and 16·c·co must be below 2^31"));
}

KernelCase kernel_case(Context& context, const std::string& name, const KernelShape& shape) {
  const KernelCaseMaker row = maker_of(name);
  if (shape.n < 1 || shape.h < 1 || shape.c < 1 || shape.co < 1)
    throw InputError(cat(name, ": ", shape.str(), "; ", row.reading, ", each at least 1"));
  check_kernel_shape(shape);
  KernelCase result = row.make(context, shape);
  result.kernel = name;
  return result;
}

double difference(Context& context, const KernelCase& shipped, const Peer& peer) {
  const auto want = result_of(context, shipped.run, shipped.result);
  const auto got = result_of(context, peer.run, peer.result);
  HAZE_CHECK(want.size() == got.size(), shipped.kernel, ": ", want.size(), " values, ", peer.impl,
             " has ", got.size());
  double apart = 0, size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    apart += (double(got[i]) - want[i]) * (double(got[i]) - want[i]);
    size += double(want[i]) * want[i];
  }
  return std::sqrt(apart / size);
}

std::vector<std::string> describe_baselines() {
  return {baselines::describe_cudnn(), baselines::describe_cublas()};
}

double time_milliseconds(Context& context, int times, const std::function<void()>& work) {
  return context.run([&](auto s) { return kernels::time_milliseconds(s, times, work); });
}

ColdTimer cold_timer(Context& context) {
  return context.run([](auto stream) -> ColdTimer {
    const auto timer = std::make_shared<kernels::ColdTimer<decltype(stream)>>(stream);
    return [timer](const std::function<void()>& work) { return timer->milliseconds(work); };
  });
}

Roof measure_roof(Context& context) {
  return context.run([&](auto s) {
    const kernels::Roof roof = kernels::measure_roof(s);
    return Roof{roof.copy_bytes_per_s, roof.matrix_flops};
  });
}

std::optional<TimerCheck> check_timers(Context& context) {
  return context.run([]([[maybe_unused]] auto s) -> std::optional<TimerCheck> {
    if constexpr (OnCuda<decltype(s)>) {
      const kernels::TimerCheck said = kernels::check_timers(s);
      return TimerCheck{said.empty.hot, said.empty.cold, said.lengthy.hot, said.lengthy.cold};
    } else {
      return std::nullopt;
    }
  });
}

}  // namespace haze::engine
