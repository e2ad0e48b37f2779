// SPDX-License-Identifier: MIT
// explain.cpp — gives a program that is linked with the traced kernels its explainer.
#include "kernels/base/explain.h"

#include "kernels/simt/trace/trace.h"

namespace haze::simt {
namespace {

std::string explain(const std::function<void()>& work) {
  Trace trace;
  {
    const Tracing on(trace);
    work();
  }
  return trace.text();
}

const bool registered = [] {
  kernels::explainer() = explain;
  return true;
}();

}  // namespace
}  // namespace haze::simt
