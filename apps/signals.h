// SPDX-License-Identifier: MIT
// signals.h — how a training run is asked to stop or to save.
#pragma once
#include <string>

namespace haze::apps {

/// From now on SIGUSR1 is remembered, for StopSignals::take_checkpoint_request; it ends no process.
/// The first thing that main does: data may take long to load.
void remember_checkpoint_requests();

/// While it lives, SIGINT and SIGTERM (and SIGHUP, as SIGTERM, unless it is ignored) are remembered:
///
///   the first        says on standard error that the step is finished and saved, and gives the step
///                    a time: `seconds` and three of the longest steps so far. One that goes on
///                    after that (in a library that waits for ever, on a disk that does not answer)
///                    ends with the process, by 128 + signal.
///   within a second  is the same request once more: `timeout`, for one, sends two.
///   another          ends the process at once, by 128 + signal.
///
/// Where the process ends here, or because a library calls exit(), its last line names the last
/// good checkpoint. SIGPIPE is ignored, so that a closed terminal ends no run. One object at a time.
class StopSignals {
 public:
  /// `quiet`: the first signal says nothing.
  explicit StopSignals(bool quiet, int seconds = 10);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// The signal that asked to stop (SIGINT or SIGTERM), or 0.
  int stop() const;
  /// True once after one or more SIGUSR1.
  bool take_checkpoint_request();

  /// How long a step took, for the time that a later one is given.
  void note_step(double seconds);
  /// For the last line; empty: there is none.
  void note_checkpoint(const std::string& path);

  /// All that was asked for is done: time no longer runs out.
  void obeyed();

  /// While it lives no time runs out: a checkpoint that is being written is waited for.
  class Saving {
   public:
    Saving();
    ~Saving();
    Saving(const Saving&) = delete;
    Saving& operator=(const Saving&) = delete;
  };

 private:
  int seconds_;
  std::string last_good_[2];  // a handler may read the one while the other is written
  int shown_ = 0;
  bool hangup_ignored_ = false;  // under nohup
};

}  // namespace haze::apps
