// SPDX-License-Identifier: MIT
#include "apps/eval_report.h"

#include <algorithm>
#include <cstdio>

#include "apps/data/input_file.h"
#include "apps/json_writer.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

std::string number(double x) { return format_number("%.6g", x); }

/// Times first .. last of the chain, and the sum of their terms.
struct Range {
  int first, last;
  double sum;
};

/// Ten ranges of 1 .. T-1.
std::vector<Range> ranges(const LikelihoodReport& report) {
  std::vector<Range> all;
  const int last = report.steps - 1, parts = std::min(10, last);
  for (int k = 0; k < parts; ++k) {
    Range range{1 + last * k / parts, last * (k + 1) / parts, 0};
    for (int t = range.first; t <= range.last; ++t) range.sum += report.bound.term_at(t);
    all.push_back(range);
  }
  return all;
}

}  // namespace

std::string as_text(const EvalReport& r) {
  std::string text;
  const auto row = [&](std::string name, const std::string& value) {
    name.resize(std::max<std::size_t>(name.size() + 1, 16), ' ');
    text += name + printable(value) + "\n";
  };
  if (r.samples_n > 0) row("samples", cat(r.samples_n, ": ", r.samples));
  if (r.data_n > 0) row("data", cat(r.data_n, ": ", r.data));
  if (!r.features.empty()) row("features", r.features);
  if (r.frechet) row("frechet", number(*r.frechet));
  if (r.kid)
    row("kid", cat(number(r.kid->mean), " ± ", number(r.kid->deviation), " over ", r.kid->subsets,
                   " subsets of ", r.kid->size));
  if (r.swd) row("swd", cat(number(*r.swd), " over ", r.directions, " directions"));
  if (const auto& a = r.accuracy) {
    row("class-accuracy",
        cat(number(a->accuracy()), " (", a->total(a->right), " of ", a->total(a->asked), ")"));
    for (std::size_t c = 0; c < a->asked.size(); ++c)
      if (a->asked[c] > 0) row(cat("  class ", c), cat(a->right[c], " of ", a->asked[c]));
  }
  if (r.nll) {
    const model::Bound& b = r.nll->bound;
    row("nll", cat(number(b.total), " bits/dim",
                   int(b.times.size()) < r.nll->steps
                       ? cat(", estimated from ", b.times.size(), " of ", r.nll->steps, " times")
                       : ""));
    row("  prior", number(b.prior));
    row("  t 0", number(b.terms[0]));
    for (const Range& range : ranges(*r.nll))
      row(cat("  t ", range.first, "-", range.last), number(range.sum));
  }
  return text;
}

std::string as_json(const EvalReport& r) {
  JsonWriter w;
  w.begin_object();
  if (r.samples_n > 0) {
    w.key("samples").begin_object().field("from", r.samples);
    w.field("count", r.samples_n).end_object();
  }
  if (r.data_n > 0)
    w.key("data").begin_object().field("from", r.data).field("count", r.data_n).end_object();
  if (!r.features.empty()) w.field("features", r.features);
  if (r.frechet) w.field("frechet", *r.frechet);
  if (r.kid) {
    w.key("kid").begin_object().field("mean", r.kid->mean).field("std", r.kid->deviation);
    w.field("subsets", r.kid->subsets).field("size", r.kid->size).end_object();
  }
  if (r.swd) {
    w.key("swd").begin_object().field("distance", *r.swd);
    w.field("directions", r.directions).end_object();
  }
  if (const auto& a = r.accuracy) {
    w.key("class-accuracy").begin_object().field("accuracy", a->accuracy());
    w.field("right", a->total(a->right)).field("asked", a->total(a->asked));
    w.key("classes").begin_array();
    for (std::size_t c = 0; c < a->asked.size(); ++c)
      w.begin_object().field("right", a->right[c]).field("asked", a->asked[c]).end_object();
    w.end_array().end_object();
  }
  if (r.nll) {
    const model::Bound& b = r.nll->bound;
    w.key("nll").begin_object().field("bits_per_dim", b.total).field("prior", b.prior);
    w.field("steps", r.nll->steps).key("terms").begin_array();
    for (std::size_t k = 0; k < b.times.size(); ++k)
      w.begin_object()
          .field("t", b.times[k])
          .field("bits_per_dim", b.terms[k])
          .field("x0_error", b.errors[k])
          .end_object();
    w.end_array().end_object();
  }
  return w.end_object().text() + "\n";
}

}  // namespace haze::apps
