// SPDX-License-Identifier: MIT
#include "kernels/cuda/runtime_api.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/memory.h"
#include "tests/gpu/ptx_cases.h"

namespace haze::test {

void run_ptx_case(int index, const std::uint32_t* in, std::uint32_t* out) {
  const PtxCase& at = kPtxCases[index];
  static const CudaStream stream = std::get<CudaStream>(kernels::open_cuda(0));
  constexpr std::size_t bytes = kPtxWords * sizeof(std::uint32_t);
  auto* device = static_cast<std::uint32_t*>(kernels::allocate(stream, 2 * bytes));
  kernels::copy_in(stream, device, in, bytes);
  kernels::zero(stream, device + kPtxWords, bytes);
  HAZE_LAUNCH(at.kernel, stream, 1, unsigned(at.threads), 0, device, device + kPtxWords);
  kernels::copy_out(stream, out, device + kPtxWords, bytes);
  kernels::release(stream, device);
}

}  // namespace haze::test
