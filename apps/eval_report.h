// SPDX-License-Identifier: MIT
// eval_report.h — what `haze eval` found, as a table and as JSON.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "model/eval/distances.h"
#include "model/eval/likelihood.h"

namespace haze::apps {

/// How often the classifier saw the class that was asked for.
struct ClassAccuracy {
  std::vector<int> right, asked;  // per class
  int total(const std::vector<int>& v) const {
    int sum = 0;
    for (const int n : v) sum += n;
    return sum;
  }
  double accuracy() const { return double(total(right)) / total(asked); }
};

/// The variational bound, and over how long a chain.
struct LikelihoodReport {
  model::Bound bound;
  int steps = 0;
};

/// What was not measured is empty.
struct EvalReport {
  std::string samples, data, features;
  int samples_n = 0, data_n = 0, directions = 0;
  std::optional<double> frechet, swd;
  std::optional<model::KernelDistance> kid;
  std::optional<ClassAccuracy> accuracy;
  std::optional<LikelihoodReport> nll;
};

std::string as_text(const EvalReport& report);
std::string as_json(const EvalReport& report);

}  // namespace haze::apps
