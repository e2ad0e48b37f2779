// SPDX-License-Identifier: MIT
// streamed_data_test.cpp — a data set that does not fit on the device changes nothing but where it
// lies: the emulated GPU is given little memory, and streams that run in adverse orders.
#include "tests/apps/tiny_run.h"

#if defined(HAZE_CUDA)

namespace haze::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class StreamedData : public TinyRun {
 protected:
  StreamedData() {
    // 10.7 MiB of images: more than half of 20 MiB, beside the arena's first block of 16 MiB.
    write(at("small.json"), R"({
      "model": {"type": "linear_denoiser", "image_channels": 1, "hidden": 9},
      "diffusion": {"steps": 10},
      "data": {"spec": "synthetic:digits:11000", "image_size": [32, 32]},
      "train": {"batch_size": 3, "learning_rate": 0.01, "checkpoint_every": 0, "sample_every": 0}})");
  }
  Outcome run(const std::string& out, int steps, const char* schedule = nullptr) const {
    return haze({"train", "--config", at("small.json"), "--device", "cuda", "--resume", "--out",
                 at(out), "--steps", std::to_string(steps)},
                [=] {
                  if (!schedule) return;
                  setenv("HAZE_SIMT_MEMORY", "20", 1);
                  setenv("HAZE_SIMT_SCHEDULE", schedule, 1);
                });
  }
};

TEST_F(StreamedData, EndsInTheSameBytesAlsoWhenResumed) {
  if (!kernels::cuda_device_info().emulated) GTEST_SKIP() << "only the emulator can lack memory";
  const char* const sent = "each step's images are sent ahead";
  const Outcome whole = run("whole", 5);
  ASSERT_EQ(whole.code, 0) << whole.err;
  EXPECT_THAT(whole.err, Not(HasSubstr(sent)));
  for (const char* schedule : {"reverse", "random:1"}) {
    const std::string name = std::string("streamed-") + schedule;
    for (const int steps : {3, 5}) {
      const Outcome part = run(name, steps, schedule);
      ASSERT_EQ(part.code, 0) << part.err;
      EXPECT_THAT(part.err, HasSubstr(sent));
    }
    EXPECT_TRUE(contents(checkpoint(name, 5)) == contents(checkpoint("whole", 5))) << schedule;
  }
}

}  // namespace
}  // namespace haze::test

#endif
