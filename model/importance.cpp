// SPDX-License-Identifier: MIT
#include "model/importance.h"

#include <algorithm>
#include <cmath>

#include "engine/random.h"

namespace haze::model {

namespace {
constexpr double kUniform = 0.001;
}

ImportanceTimes::ImportanceTimes(int steps)
    : steps_(steps), losses_(std::size_t(steps) * kKept, 0.0f), counts_(std::size_t(steps), 0.0f) {}

std::vector<double> ImportanceTimes::probabilities() const {
  const auto T = std::size_t(steps_);
  std::vector<double> p(T, 1.0 / double(T));
  if (std::ranges::any_of(counts_, [](float c) { return c < kKept; })) return p;
  double sum = 0;
  for (std::size_t t = 0; t < T; ++t) {
    double squares = 0;
    for (int k = 0; k < kKept; ++k) {
      const double loss = double(losses_[t * kKept + std::size_t(k)]);
      squares += loss * loss;
    }
    sum += p[t] = std::sqrt(squares / kKept);
  }
  for (double& q : p)
    q = sum > 0 ? (1 - kUniform) * q / sum + kUniform / double(T) : 1.0 / double(T);
  return p;
}

std::vector<double> ImportanceTimes::weights() const {
  std::vector<double> w = probabilities();
  for (double& x : w) x = 1 / (steps_ * x);
  return w;
}

std::vector<std::int32_t> ImportanceTimes::draw(std::uint64_t seed, std::uint32_t step,
                                                int n) const {
  std::vector<double> below = probabilities();
  for (std::size_t t = 1; t < below.size(); ++t) below[t] += below[t - 1];
  std::vector<std::int32_t> times;
  const RandomKey key{seed, engine::streams::kTimestep, step};
  for (int i = 0; i < n; ++i) {
    const double u = (double(random4(key, std::uint32_t(i), 0).v[0]) + 0.5) * 0x1p-32;
    const auto at = std::ranges::upper_bound(below, u * below.back()) - below.begin();
    times.push_back(std::int32_t(std::min<std::ptrdiff_t>(at, steps_ - 1)));
  }
  return times;
}

void ImportanceTimes::record(std::span<const std::int32_t> t, std::span<const float> losses) {
  for (std::size_t i = 0; i < t.size(); ++i) {
    if (!std::isfinite(losses[i])) continue;
    const auto at = std::size_t(t[i]);
    const auto first = losses_.begin() + std::ptrdiff_t(at * kKept);
    std::rotate(first, first + 1, first + kKept);
    first[kKept - 1] = losses[i];
    counts_[at] = std::min(counts_[at] + 1, float(kKept));
  }
}

StateDict ImportanceTimes::state() const {
  return {{"times.losses", {{steps_, kKept}, losses_}}, {"times.counts", {{steps_}, counts_}}};
}

void ImportanceTimes::restore(const StateDict& state) {
  const auto take = [&](const char* name, std::vector<float>& into) {
    const auto found = state.find(name);
    if (found == state.end() || found->second.values.size() != into.size())
      throw InputError(cat(name, ": ", found == state.end() ? "missing" : "of another size", "; ",
                           into.size(), " values expected"));
    into = found->second.values;
  };
  take("times.losses", losses_);
  take("times.counts", counts_);
}

}  // namespace haze::model
