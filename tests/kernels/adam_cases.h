// SPDX-License-Identifier: MIT
// adam_cases.h — what the tests of Adam share: the coefficients of an ordinary step.
#pragma once
#include "kernels/adam/adam.h"

namespace haze::test {

inline constexpr kernels::AdamStep kStep{.beta1 = 0.9f,
                                         .one_minus_beta1 = 0.1f,
                                         .beta2 = 0.99f,
                                         .one_minus_beta2 = 0.01f,
                                         .step_size = 0.1f,
                                         .inv_sqrt_bias2 = 10,
                                         .eps = 1e-8f,
                                         .decay = 0.01f,
                                         .clip = 3,
                                         .one_minus_decay = 0.2f};

}  // namespace haze::test
