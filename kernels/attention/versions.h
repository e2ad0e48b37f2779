// SPDX-License-Identifier: MIT
// versions.h — earlier CUDA versions of attention, a ladder of one idea
// each, kept to be read in order beside docs/kernels/attention.md,
// tested and measured; the engine uses forward.cu and backward.cu.
#pragma once
#include "kernels/attention/attention.h"
#include "kernels/base/stream.h"

namespace haze::kernels {

/// v1_naive.cu. As the contract in attention.h; at most 25,000 tokens in forward, 12,500 in
/// backward, or a CheckError. Scratch as attention_backward's.
void attention_forward_v1(CudaStream stream, const AttentionDims& d, ConstAct qkv, Act o,
                          float* lse);
void attention_backward_v1(CudaStream stream, const AttentionDims& d, ConstAct qkv, ConstAct o,
                           const float* lse, ConstAct dout, Grad dqkv, void* scratch);

/// v2_online.cu: no row of scores in memory. Heads of at most 256; a wider one is a CheckError.
void attention_forward_v2(CudaStream stream, const AttentionDims& d, ConstAct qkv, Act o,
                          float* lse);

/// v3_tensor_cores.cu: both products by mma.sync. bf16 and heads of at most 256, or a CheckError.
void attention_forward_v3(CudaStream stream, const AttentionDims& d, ConstAct qkv, Act o,
                          float* lse);

}  // namespace haze::kernels
