// SPDX-License-Identifier: MIT
#include "model/verify/record.h"

#include <cmath>

namespace haze::model {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += cat(i ? "," : "", shape[i]);
  return text + "]";
}

const HostTensor& recorded(const StateDict& record, const std::string& name) {
  const auto found = record.find(name);
  if (found == record.end()) throw InputError(cat("record: it has no tensor ", name));
  std::int64_t n = 1;
  for (const std::int64_t e : found->second.shape) n *= e;
  if (std::int64_t(found->second.values.size()) != n)
    throw InputError(cat("record: ", name, " has ", found->second.values.size(), " values for ",
                         shape_text(found->second.shape)));
  return found->second;
}

void require_shape(const StateDict& record, const std::string& name,
                   const std::vector<std::int64_t>& shape) {
  if (const HostTensor& t = recorded(record, name); t.shape != shape)
    throw InputError(
        cat("record: ", name, ' ', shape_text(t.shape), "; ", shape_text(shape), " expected"));
}

std::size_t Images::size() const {
  return std::size_t(n) * std::size_t(c) * std::size_t(h) * std::size_t(w);
}

std::vector<float> Images::block(const HostTensor& t, int k, float scale) const {
  const auto from = t.values.begin() + std::ptrdiff_t(std::size_t(k) * size());
  auto values = nchw_to_nhwc(std::vector<float>(from, from + std::ptrdiff_t(size())), n, c, h, w);
  for (float& v : values) v *= scale;
  return values;
}

HostTensor Images::recorded_layout(const std::vector<float>& nhwc) const {
  return {{n, c, h, w}, nhwc_to_nchw(nhwc, n, c, h, w)};
}

Images images_of(const StateDict& record, const std::string& name, bool leading,
                 const NetworkConfig& config) {
  const auto& shape = recorded(record, name).shape;
  if (shape.size() != (leading ? 5 : 4))
    throw InputError(cat("record: ", name, ' ', shape_text(shape), "; [", leading ? "S," : "",
                         "B,C,H,W] expected"));
  for (const std::int64_t e : shape)
    if (e < 1 || e > 1 << 20) throw InputError(cat("record: ", name, ' ', shape_text(shape)));
  const std::size_t at = leading ? 1 : 0;
  const Images images{leading ? int(shape[0]) : 1, int(shape[at]), int(shape[at + 1]),
                      int(shape[at + 2]), int(shape[at + 3])};
  if (images.c != config.image_channels)
    throw InputError(cat("record: ", name, ' ', shape_text(shape), "; the network has ",
                         config.image_channels, " image channels"));
  check_image_size(config, images.h, images.w);
  return images;
}

std::vector<std::int32_t> recorded_times(const HostTensor& t, std::size_t first, std::size_t n,
                                         int T) {
  std::vector<std::int32_t> times;
  for (std::size_t i = first; i < first + n; ++i) {
    const float v = t.values[i];
    if (!(v >= 0 && v < float(T)) || v != std::floor(v))
      throw InputError(cat("record: t holds ", v, "; whole numbers from 0 to ", T - 1));
    times.push_back(std::int32_t(v));
  }
  return times;
}

}  // namespace haze::model
