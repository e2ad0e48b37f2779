// SPDX-License-Identifier: MIT
// record.h — reading a record of another framework's numbers: named tensors whose shapes and values
// are checked against what the network can take.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/network.h"
#include "model/weights.h"

namespace haze::model {

/// "[2,3,28,28]".
std::string shape_text(const std::vector<std::int64_t>& shape);

/// The record's tensor of this name. InputError if
/// there is none or its values do not fill its shape.
const HostTensor& recorded(const StateDict& record, const std::string& name);
/// InputError unless the tensor `name` has this shape.
void require_shape(const StateDict& record, const std::string& name,
                   const std::vector<std::int64_t>& shape);

/// The images of a record: `leading` blocks of [n,c,h,w].
struct Images {
  int leading = 1, n = 0, c = 0, h = 0, w = 0;
  /// Values of one block.
  std::size_t size() const;
  /// Block k of a tensor's leading axis, as [N,H,W,C], times `scale`.
  std::vector<float> block(const HostTensor& t, int k, float scale = 1) const;
  /// Values in haze's layout as a tensor of the record's.
  HostTensor recorded_layout(const std::vector<float>& nhwc) const;
};

/// The shape of the tensor `name`: [B,C,H,W], or with `leading` [S,B,C,H,W]. InputError unless its
/// channels and size fit the network.
Images images_of(const StateDict& record, const std::string& name, bool leading,
                 const NetworkConfig& config);

/// Elements [first, first + n) of t as times; InputError unless they are whole numbers in [0, T).
std::vector<std::int32_t> recorded_times(const HostTensor& t, std::size_t first, std::size_t n,
                                         int T);

}  // namespace haze::model
