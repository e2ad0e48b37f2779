// SPDX-License-Identifier: MIT
// kernel_cases_test.cpp — the bytes that the bench holds a kernel's time against are those that the
// kernel touches. More would flatter its share of the roof, fewer would hide it.
#include "engine/bench/kernel_cases.h"

#include "tests/support/trace.h"

namespace haze {
namespace {

/// What a kernel may touch beside the tensors that a case counts, at [2,4,4,32], as a share of
/// them: biases and sums of losses, except
double beside(const std::string& name) {
  if (name.ends_with(".wgrad")) return 3;             // partial sums, in scratch
  if (name.starts_with("group_norm")) return 0.4;     // statistics and scales, for 16 pixels
  if (name == "attention.backward") return 0.04;      // three numbers per query, of 32 channels
  if (name.starts_with("cross_entropy")) return 0.1;  // a sum per item
  return 0.03;
}

TEST(KernelCases, BytesAreThoseThatMustMove) {
  for (const DType type : {DType::f32, DType::bf16}) {
    engine::Context context(CudaStream{}, type);
    for (const std::string& name : engine::kernel_case_names()) {
      if (name.find('/') != name.npos) continue;
      const auto at = engine::kernel_case(context, name, {2, 4, 32, 48});
      engine::synchronise(context);
      const auto trace = test::traced(at.run);
      test::expect_clean(*trace);
      // Each byte once, although the norm has to have read all gradients before the update does.
      double touched = name == "adam" ? 4 * (2 * 4 * 4 * 32) : 0;
      for (const simt::BufferTraffic& b : trace->buffers())
        touched += double(b.read.unique + b.written.unique);
      EXPECT_GE(touched, at.bytes) << name << ", " << name_of(type);
      EXPECT_LE(touched, (1 + beside(name)) * at.bytes) << name << ", " << name_of(type);
    }
  }
}

}  // namespace
}  // namespace haze
