// SPDX-License-Identifier: MIT
// library.h — what the baselines share: a library opened while the program runs, and the fastest of
// the ways that it offers.
#pragma once
#include <algorithm>
#include <dlfcn.h>
#include <functional>
#include <initializer_list>
#include <string>

#include "kernels/base/check.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/timer.h"

namespace haze::engine::baselines {

/// Open until the program ends.
class Library {
 public:
  /// The first of these names that the system's loader finds. Throws RunError with its words about
  /// the first name.
  explicit Library(std::initializer_list<const char*> names) {
    std::string why;
    for (const char* name : names) {
      if ((handle_ = dlopen(name, RTLD_NOW | RTLD_LOCAL))) return;
      const char* said = dlerror();
      if (why.empty()) why = said ? said : cat(name, " does not open");
    }
    throw RunError(why);
  }
  /// Its function of this name and type F. Throws RunError if it has none.
  template <class F>
  F function(const char* name) const {
    void* found = dlsym(handle_, name);
    if (!found) throw RunError(cat(name, " is not in this version"));
    return reinterpret_cast<F>(found);
  }

 private:
  void* handle_ = nullptr;
};

/// Runs each way that it is given, and keeps the fastest.
class Fastest {
 public:
  explicit Fastest(CudaStream stream) : stream_(stream) {}

  /// `make` prepares a way and returns it to be run. One that fails, in RunError, is passed over.
  void consider(const std::function<std::function<void()>()>& make) {
    try {
      const std::function<void()> run = make();
      run();  // warm; and what fails does so here
      kernels::synchronise(stream_);
      double milliseconds = kernels::time_milliseconds(stream_, 3, run);
      for (int i = 0; i < 2; ++i)
        milliseconds = std::min(milliseconds, kernels::time_milliseconds(stream_, 3, run));
      if (run_ && milliseconds >= milliseconds_) return;
      run_ = run;
      milliseconds_ = milliseconds;
    } catch (const RunError& e) {
      why_ = e.what();
    }
  }
  const std::function<void()>& run() const { return run_; }
  /// Why the last way that failed did.
  const std::string& why() const { return why_; }

 private:
  CudaStream stream_;
  std::function<void()> run_;
  double milliseconds_ = 0;
  std::string why_;
};

}  // namespace haze::engine::baselines

/// A member of a struct that has a `library`: the library's
/// function of this name, as its header declares it.
#define HAZE_FROM_LIBRARY(name) decltype(&::name) name = library.function<decltype(&::name)>(#name)
