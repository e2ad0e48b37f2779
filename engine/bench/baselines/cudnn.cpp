// SPDX-License-Identifier: MIT
// cudnn.cpp — a convolution's three products by cuDNN's graph interface.
//
// A computation is described by descriptors, each a set of typed attributes that is made final:
// tensors and a convolution make an operation, operations a graph, for which heuristics propose
// configurations of engines; a configuration makes a plan, which is run on a pack of pointers.
#include "engine/bench/baselines/baselines.h"

#if defined(HAZE_CUDNN)
#include <array>
#include <cudnn.h>
#include <memory>
#include <vector>

#include "engine/bench/baselines/library.h"
#include "kernels/runtime/memory.h"

namespace haze::engine::baselines {
namespace {

struct Cudnn {
  Library library{"libcudnn.so.9"};
  HAZE_FROM_LIBRARY(cudnnGetVersion);
  HAZE_FROM_LIBRARY(cudnnGetErrorString);
  HAZE_FROM_LIBRARY(cudnnCreate);
  HAZE_FROM_LIBRARY(cudnnSetStream);
  HAZE_FROM_LIBRARY(cudnnBackendCreateDescriptor);
  HAZE_FROM_LIBRARY(cudnnBackendDestroyDescriptor);
  HAZE_FROM_LIBRARY(cudnnBackendSetAttribute);
  HAZE_FROM_LIBRARY(cudnnBackendGetAttribute);
  HAZE_FROM_LIBRARY(cudnnBackendFinalize);
  HAZE_FROM_LIBRARY(cudnnBackendExecute);

  void check(cudnnStatus_t status, const char* what) const {
    if (status != CUDNN_STATUS_SUCCESS)
      throw RunError(cat(what, ": ", cudnnGetErrorString(status)));
  }
};

const Cudnn& cudnn() {
  static const Cudnn one;
  return one;
}

cudnnHandle_t handle() {
  static const cudnnHandle_t one = [] {
    cudnnHandle_t made;
    cudnn().check(cudnn().cudnnCreate(&made), "cudnnCreate");
    return made;
  }();
  return one;
}

/// The type by which cuDNN is told what an attribute's values are.
template <class T>
constexpr cudnnBackendAttributeType_t kTypeOf = CUDNN_TYPE_INT64;
template <>
constexpr auto kTypeOf<float> = CUDNN_TYPE_FLOAT;
template <>
constexpr auto kTypeOf<void*> = CUDNN_TYPE_VOID_PTR;
template <>
constexpr auto kTypeOf<cudnnHandle_t> = CUDNN_TYPE_HANDLE;
template <>
constexpr auto kTypeOf<cudnnDataType_t> = CUDNN_TYPE_DATA_TYPE;
template <>
constexpr auto kTypeOf<cudnnConvolutionMode_t> = CUDNN_TYPE_CONVOLUTION_MODE;
template <>
constexpr auto kTypeOf<cudnnBackendHeurMode_t> = CUDNN_TYPE_HEUR_MODE;
template <>
constexpr auto kTypeOf<cudnnBackendNumericalNote_t> = CUDNN_TYPE_NUMERICAL_NOTE;

/// Shared by its copies.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t made;
    cudnn().check(cudnn().cudnnBackendCreateDescriptor(type, &made), "a descriptor");
    handle_ = {made, [](void* p) { cudnn().cudnnBackendDestroyDescriptor(p); }};
  }
  void* get() const { return handle_.get(); }

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, std::initializer_list<T> values) {
    return put(name, kTypeOf<T>, values.size(), values.begin());
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& part) {
    void* const descriptor = part.get();
    keep(part);
    return put(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &descriptor);
  }
  /// What it came from lives as long as it.
  void keep(const Descriptor& part) {
    parts_.push_back(part.handle_);
    parts_.insert(parts_.end(), part.parts_.begin(), part.parts_.end());
  }
  Descriptor& finish() {
    cudnn().check(cudnn().cudnnBackendFinalize(get()), "cudnnBackendFinalize");
    return *this;
  }
  /// Up to `room` values into `values`; how many these
  /// are, or with room for none, how many there are.
  std::int64_t read(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                    std::int64_t room, void* values) const {
    std::int64_t there = 0;
    cudnn().check(cudnn().cudnnBackendGetAttribute(get(), name, type, room, &there, values),
                  "cudnnBackendGetAttribute");
    return room > 0 ? std::min(there, room) : there;
  }

 private:
  Descriptor& put(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                  std::size_t count, const void* values) {
    cudnn().check(cudnn().cudnnBackendSetAttribute(get(), name, type, std::int64_t(count), values),
                  "cudnnBackendSetAttribute");
    return *this;
  }
  std::shared_ptr<void> handle_;
  std::vector<std::shared_ptr<void>> parts_;
};

/// An NHWC tensor, its extents in cuDNN's order: images, channels, height, width.
Descriptor tensor(std::int64_t id, DType type, const std::array<int, 4>& nchw) {
  const std::int64_t n = nchw[0], c = nchw[1], h = nchw[2], w = nchw[3];
  return Descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR)
      .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {id})
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE,
           {type == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT})
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, {std::int64_t{16}})
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, {n, c, h, w})
      .set(CUDNN_ATTR_TENSOR_STRIDES, {h * w * c, std::int64_t{1}, w * c, c})
      .finish();
}

constexpr std::int64_t kX = 'x', kW = 'w', kY = 'y';

/// The operation's name and those of its attributes.
struct Names {
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
};
constexpr Names kNames[] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA}};

Descriptor graph(const Conv2dDims& d, Product product, DType type) {
  using I = std::int64_t;
  const Descriptor convolution =
      Descriptor(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
          .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, {CUDNN_DATA_FLOAT})
          .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, {CUDNN_CROSS_CORRELATION})
          .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, {I{2}})
          .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {I{d.pad_top}, I{d.pad_left}})
          .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {I{d.pad_bottom}, I{d.pad_right}})
          .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {I{d.stride}, I{d.stride}})
          .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {I{1}, I{1}})
          .finish();
  const Names& names = kNames[int(product)];
  const Descriptor operation = Descriptor(names.operation)
                                   .set(names.convolution, convolution)
                                   .set(names.x, tensor(kX, type, {d.n, d.ci, d.h, d.w}))
                                   .set(names.w, tensor(kW, type, {d.co, d.ci, d.kh, d.kw}))
                                   .set(names.y, tensor(kY, type, {d.n, d.co, d.ho(), d.wo()}))
                                   .set(names.alpha, {1.0f})
                                   .set(names.beta, {0.0f})
                                   .finish();
  return Descriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
      .set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, {handle()})
      .set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation)
      .finish();
}

/// What the heuristics propose for the graph, the most promising first.
std::vector<Descriptor> configurations(const Descriptor& graph, cudnnBackendHeurMode_t mode) {
  const Descriptor heuristics = Descriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)
                                    .set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
                                    .set(CUDNN_ATTR_ENGINEHEUR_MODE, {mode})
                                    .finish();
  const auto results = [&](std::int64_t room, void* into) {
    return heuristics.read(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, room,
                           into);
  };
  std::vector<Descriptor> all;
  std::vector<void*> handles;
  for (std::int64_t i = results(0, nullptr); i > 0; --i) {
    all.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    all.back().keep(graph);
    handles.push_back(all.back().get());
  }
  const auto filled = std::size_t(results(std::int64_t(all.size()), handles.data()));
  while (all.size() > filled) all.pop_back();
  return all;
}

/// Whether it rounds f32 to something shorter before it multiplies: cuDNN notes it of the engine.
bool rounds_inputs(const Descriptor& configuration) {
  const Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  void* handle = engine.get();
  configuration.read(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &handle);
  cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  const std::int64_t count =
      engine.read(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                  CUDNN_NUMERICAL_NOTE_TYPE_COUNT, notes);
  for (std::int64_t i = 0; i < count; ++i)
    if (notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
        notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)
      return true;
  return false;
}

std::function<void()> plan(CudaStream stream, const Descriptor& configuration,
                           const std::array<void*, 3>& xwy) {
  const Descriptor plan = Descriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
                              .set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, {handle()})
                              .set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration)
                              .finish();
  std::int64_t bytes = 0;
  plan.read(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &bytes);
  if (bytes > std::int64_t{1} << 30) throw RunError(cat("a workspace of ", bytes, " bytes"));
  std::shared_ptr<void> workspace;
  if (bytes > 0)
    workspace = {kernels::allocate(stream, std::size_t(bytes)),
                 [stream](void* p) { kernels::release(stream, p); }};
  const Descriptor pack = Descriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
                              .set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, {kX, kW, kY})
                              .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, {xwy[0], xwy[1], xwy[2]})
                              .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, {workspace.get()})
                              .finish();
  return [plan, pack, workspace] {
    cudnn().check(cudnn().cudnnBackendExecute(handle(), plan.get(), pack.get()),
                  "cudnnBackendExecute");
  };
}

}  // namespace

Baseline cudnn_convolution(CudaStream stream, const Conv2dDims& d, Product product, Act x, Act w,
                           Act y) {
  constexpr std::size_t kWays = 10;
  HAZE_CHECK(x.dtype == w.dtype && x.dtype == y.dtype, "x, w and y are of different types");
  try {
    cudnn();
  } catch (const RunError&) {
    return {};
  }
  Fastest fastest(stream);
  try {
    cudnn().check(cudnn().cudnnSetStream(handle(), static_cast<cudaStream_t>(stream.handle)),
                  "cudnnSetStream");
    const Descriptor operations = graph(d, product, x.dtype);
    const bool exact = x.dtype == DType::f32 && !stream.tf32;
    for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
      std::vector<Descriptor> ways = configurations(operations, mode);
      if (exact) std::erase_if(ways, rounds_inputs);
      for (std::size_t i = 0; i < std::min(ways.size(), kWays); ++i)
        fastest.consider([&] { return plan(stream, ways[i], {x.data, w.data, y.data}); });
      if (fastest.run()) break;
    }
  } catch (const RunError& e) {
    return {{}, e.what()};
  }
  return {fastest.run(), fastest.why().empty() ? "its heuristics propose nothing" : fastest.why()};
}

std::string describe_cudnn() try {
  const std::size_t version = cudnn().cudnnGetVersion();
  return cat("cuDNN ", version / 10000, '.', version / 100 % 100, '.', version % 100);
} catch (const RunError& e) {
  return cat("cuDNN: ", e.what());
}

}  // namespace haze::engine::baselines

#else

namespace haze::engine::baselines {

Baseline cudnn_convolution(CudaStream, const Conv2dDims&, Product, Act, Act, Act) { return {}; }
std::string describe_cudnn() { return "cuDNN: its headers were not there for the build"; }

}  // namespace haze::engine::baselines
#endif
