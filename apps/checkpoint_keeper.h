// SPDX-License-Identifier: MIT
// checkpoint_keeper.h — which checkpoint of a run is the last good one, and what happens when the
// disk has no room for another.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "apps/console.h"
#include "apps/signals.h"
#include "engine/files/checkpoint.h"

namespace haze::apps {

/// Training has ended, and the text names the last good checkpoint.
struct TrainingEnded : RunError {
  using RunError::RunError;
};

/// How long it waits for room.
struct SavePauses {
  std::chrono::milliseconds again{60000};  // while training goes on, from one attempt to the next
  /// Between the attempts at the end of a run, which is lost without them: a minute in all.
  std::vector<std::chrono::milliseconds> at_end{std::chrono::seconds(1),  std::chrono::seconds(2),
                                                std::chrono::seconds(4),  std::chrono::seconds(8),
                                                std::chrono::seconds(16), std::chrono::seconds(30)};
  /// And where a signal asked it to stop: whoever sent it does not wait long.
  std::vector<std::chrono::milliseconds> when_stopped{std::chrono::seconds(1),
                                                      std::chrono::seconds(2)};
};

class CheckpointKeeper {
 public:
  /// Writes the state of the step done; throws as CheckpointWriter::save does.
  using Write = std::function<engine::SaveReport()>;

  CheckpointKeeper(StopSignals& signals, Console& console, SavePauses pauses = {});

  /// The state of this step lies in `path` (empty: nowhere, the run begins).
  void mark_saved(std::uint64_t step, const std::string& path);

  /// Saves, unless that step is saved. A full disk is a warning, once and then when the number of
  /// attempts has doubled: training goes on, and due_again() says when to come back. Throws
  /// TrainingEnded for what waiting does not mend.
  void save(std::uint64_t step, const Write& write);
  /// The same at the end of a run: waits for room, but not for ever, and TrainingEnded without it.
  void save_at_end(std::uint64_t step, const Write& write);

  /// An attempt failed, and the next is not due yet; it is due.
  bool is_waiting() const { return failed_ > 0 && Clock::now() < again_; }
  bool due_again() const { return failed_ > 0 && Clock::now() >= again_; }

  const std::string& last_path() const { return last_path_; }
  /// "the last good checkpoint is ...", or that there is none.
  std::string last_good() const;

 private:
  using Clock = std::chrono::steady_clock;
  void write(std::uint64_t step, const Write& write);
  [[noreturn]] void end(std::uint64_t step, const std::string& why) const;
  bool wait(std::chrono::milliseconds pause) const;
  StopSignals& signals_;
  Console& console_;
  SavePauses pauses_;
  std::uint64_t saved_ = 0;
  std::string last_path_;
  int failed_ = 0;  // attempts since the last one that succeeded
  Clock::time_point again_{};
};

}  // namespace haze::apps
