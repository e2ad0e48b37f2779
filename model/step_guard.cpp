// SPDX-License-Identifier: MIT
#include "model/step_guard.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace haze::model {

namespace {
constexpr const char *kSkipped = "guard.skipped", *kNorms = "guard.norms";
constexpr std::uint64_t kBase = std::uint64_t{1} << 24;  // below it every integer is a float

bool is_digit(float x) { return x >= 0 && double(x) < double(kBase) && x == std::floor(x); }
}  // namespace

double StepGuard::limit() const {
  if (norms_.size() < kWindow) return std::numeric_limits<double>::infinity();
  std::vector<float> sorted = norms_;
  const auto middle = sorted.begin() + kWindow / 2;
  std::ranges::nth_element(sorted, middle);
  return *middle > 0 ? spike_factor_ * double(*middle) : std::numeric_limits<double>::infinity();
}

Skip StepGuard::record(float loss, float norm, bool updated) {
  const bool spike = std::isfinite(loss) && std::isfinite(norm) && double(norm) > limit();
  if (spike_factor_ > 0 && std::isfinite(norm)) {
    if (norms_.size() == kWindow) norms_.erase(norms_.begin());
    norms_.push_back(norm);
  }
  if (updated) {
    in_a_row_ = 0;
    return Skip::no;
  }
  ++skipped_;
  in_a_row_ = spike ? 0 : in_a_row_ + 1;
  return spike ? Skip::spike : std::isfinite(loss) ? Skip::gradient : Skip::loss;
}

StateDict StepGuard::state() const {
  StateDict state;
  if (skipped_ > 0)
    state[kSkipped] = {{3}, {float(skipped_ % kBase), float(skipped_ / kBase), float(in_a_row_)}};
  if (!norms_.empty()) state[kNorms] = {{std::int64_t(norms_.size())}, norms_};
  return state;
}

void StepGuard::restore(const StateDict& state) {
  skipped_ = 0, in_a_row_ = 0;
  norms_.clear();
  if (const auto found = state.find(kSkipped); found != state.end()) {
    const std::vector<float>& v = found->second.values;
    if (v.size() != 3 || !std::ranges::all_of(v, is_digit))
      throw InputError(cat(kSkipped, ": ", v.size(), " values; 3 whole numbers expected"));
    skipped_ = std::uint64_t(v[0]) + kBase * std::uint64_t(v[1]);
    in_a_row_ = int(v[2]);
  }
  if (const auto found = state.find(kNorms); found != state.end()) {
    norms_ = found->second.values;
    if (norms_.size() > kWindow || spike_factor_ == 0)
      throw InputError(cat(kNorms, ": ", norms_.size(), " values; at most ",
                           spike_factor_ == 0 ? 0 : kWindow, " expected"));
  }
}

}  // namespace haze::model
