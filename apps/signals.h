// SPDX-License-Identifier: MIT
// signals.h — how a training run is asked to stop or to save.
#pragma once
namespace haze::apps {

/// While it lives: SIGINT and SIGTERM (and SIGHUP, as SIGTERM, unless it is ignored) are remembered
/// once and end the process at once the second time, with 128 + signal; SIGUSR1 asks for a
/// checkpoint; SIGPIPE is ignored, so that a closed terminal ends no run. One object at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// The signal that asked to stop (SIGINT or SIGTERM), or 0.
  int stop() const;
  /// True once after each SIGUSR1.
  bool take_checkpoint_request();
};

}  // namespace haze::apps
