// versions.h — earlier CUDA versions of attention, kept to be read, tested and measured; the engine
// uses forward.cu and backward.cu.
#pragma once
#include "kernels/attention/attention.h"
#include "kernels/base/stream.h"

namespace haze::kernels {

/// v1_naive.cu. As the contract in attention.h; at most 40,000 tokens in forward, 20,000 in
/// backward. Scratch as attention_backward's.
void attention_forward_v1(CudaStream stream, const AttentionDims& d, ConstAct qkv, Act o,
                          float* lse);
void attention_backward_v1(CudaStream stream, const AttentionDims& d, ConstAct qkv, ConstAct o,
                           const float* lse, ConstAct dout, Grad dqkv, void* scratch);

}  // namespace haze::kernels
