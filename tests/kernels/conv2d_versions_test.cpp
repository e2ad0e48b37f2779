// SPDX-License-Identifier: MIT
// conv2d_versions_test.cpp — the CUDA convolution's predecessors compute the same convolution.
#include "kernels/conv2d/reference.h"
#include "kernels/conv2d/versions.h"
#include "tests/support/tape.h"

#if defined(HAZE_CUDA)
namespace haze {
namespace {
using kernels::Conv2dDims;

constexpr decltype(&kernels::conv2d_versions::v1_naive) kAnyType[] = {
    kernels::conv2d_versions::v1_naive, kernels::conv2d_versions::v2_tiled};
constexpr decltype(&kernels::conv2d_versions::v1_naive) kBf16[] = {
    kernels::conv2d_versions::v3_tensor_cores, kernels::conv2d_versions::v4_async,
    kernels::conv2d_versions::v5_swizzle};

// Several blocks and steps; channels that fill vectors of 16 bytes and that do not; tiles and steps
// that end within the matrix; stride 2; one output; a kernel wider than the image.
const Conv2dDims kSizes[] = {
    {2, 6, 6, 32, 16, 3, 3, 1, 1, 1, 1, 1},  {1, 7, 5, 3, 70, 3, 3, 2, 0, 0, 1, 1},
    {3, 5, 3, 7, 1, 1, 1, 1, 0, 0, 0, 0},    {1, 2, 1, 5, 3, 5, 3, 1, 2, 1, 2, 1},
    {1, 9, 8, 40, 72, 3, 3, 1, 1, 1, 1, 1},  {3, 6, 5, 8, 65, 3, 2, 2, 1, 0, 1, 1},
    {1, 11, 6, 20, 64, 1, 1, 1, 0, 0, 0, 0}, {5, 1, 1, 136, 130, 1, 1, 1, 0, 0, 0, 0},
};

void expect_reference(decltype(&kernels::conv2d_versions::v1_naive) version, DType type) {
  const CudaStream stream = std::get<CudaStream>(kernels::open_cuda(0));
  for (const Conv2dDims& d : kSizes) {
    const engine::Shape xs{d.n, d.h, d.w, d.ci}, ws{d.co, d.kh, d.kw, d.ci};
    const engine::Shape ys{d.n, d.ho(), d.wo(), d.co};
    const auto x = test::normal(xs.size(), 1, 0, 1, type);
    const auto w = test::normal(ws.size(), 2, 0, 1, type);
    std::vector<double> want(ys.size());
    kernels::reference::conv2d_forward<double>(d, x.data(), w.data(), nullptr, nullptr, nullptr,
                                               want.data());
    engine::Context context(stream, type);
    const engine::Tape tape(context);
    const auto y = tape.empty(ys, type);
    version(stream, d, test::to_tensor(tape, xs, x, type).in(),
            test::to_tensor(tape, ws, w, type).in(), y.act());
    // One rounding of the result, and those of the sum (conv2d_test.cpp).
    test::expect_close(test::values(tape, y), want, 2 * test::rounding(type),
                       8 * d.kh * d.kw * d.ci * 0x1p-25, cat(d.ci, "->", d.co));
  }
}

TEST(Conv2dVersions, MatchTheReference) {
  for (const auto& version : kAnyType)
    for (const DType type : {DType::f32, DType::bf16}) expect_reference(version, type);
}

TEST(Conv2dVersions, OnTensorCoresMatchTheReference) {
  for (const auto& version : kBf16) expect_reference(version, DType::bf16);
}

// Tiles and steps reach beyond the matrices: what lies there must not be read, or times 0 it would
// be a NaN all the same. 3·2·8 summed numbers are one and a half steps.
TEST(Conv2dVersions, ANanReachesOnlyThePixelsThatMeetIt) {
  const Conv2dDims d{2, 6, 5, 8, 9, 3, 2, 1, 1, 0, 1, 1};
  const engine::Shape xs{d.n, d.h, d.w, d.ci}, ws{d.co, d.kh, d.kw, d.ci};
  const engine::Shape ys{d.n, d.ho(), d.wo(), d.co};
  auto x = test::normal(xs.size(), 1, 0, 1, DType::bf16);
  const auto w = test::normal(ws.size(), 2, 0, 1, DType::bf16);
  x[std::size_t((3 * d.w + 2) * d.ci + 5)] = NAN;  // pixel (3, 2) of the first image
  std::vector<double> want(ys.size());
  kernels::reference::conv2d_forward<double>(d, x.data(), w.data(), nullptr, nullptr, nullptr,
                                             want.data());
  for (const auto* version : {&kAnyType[0], &kAnyType[1], &kBf16[0], &kBf16[1], &kBf16[2]}) {
    const CudaStream stream = std::get<CudaStream>(kernels::open_cuda(0));
    engine::Context context(stream, DType::bf16);
    const engine::Tape tape(context);
    const auto y = tape.empty(ys, DType::bf16);
    (*version)(stream, d, test::to_tensor(tape, xs, x, DType::bf16).in(),
               test::to_tensor(tape, ws, w, DType::bf16).in(), y.act());
    const auto got = test::values(tape, y);
    for (std::size_t i = 0; i < got.size(); ++i)
      EXPECT_EQ(std::isnan(got[i]), std::isnan(want[i])) << "element " << i;
  }
}

TEST(Conv2dVersions, OnTensorCoresRefuseF32) {
  for (const auto& version : kBf16)
    test::expect_check([&] { version({}, kSizes[0], {}, {}, {}); }, "activations are f32");
}

}  // namespace
}  // namespace haze
#endif
