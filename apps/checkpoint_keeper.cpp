// SPDX-License-Identifier: MIT
#include "apps/checkpoint_keeper.h"

#include <bit>
#include <thread>

#include "engine/files/new_file.h"
#include "kernels/base/text.h"

namespace haze::apps {

CheckpointKeeper::CheckpointKeeper(StopSignals& signals, Console& console, SavePauses pauses)
    : signals_(signals), console_(console), pauses_(std::move(pauses)) {}

void CheckpointKeeper::mark_saved(std::uint64_t step, const std::string& path) {
  saved_ = step;
  last_path_ = path;
  failed_ = 0;
  signals_.note_checkpoint(path);
}

std::string CheckpointKeeper::last_good() const {
  return last_path_.empty() ? "no checkpoint was written yet"
                            : "the last good checkpoint is " + last_path_;
}

void CheckpointKeeper::end(std::uint64_t step, const std::string& why) const {
  throw TrainingEnded(cat(why, "; step ", step, " is not saved; ", last_good()));
}

void CheckpointKeeper::write(std::uint64_t step, const Write& write) {
  const StopSignals::Saving saving;
  const auto start = Clock::now();
  const engine::SaveReport report = write();
  for (const std::string& message : report.messages) console_.detail(message);
  const int failed = failed_;
  mark_saved(step, report.path);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  console_.info(cat("save step ", step, " ", report.path, " ", format_number("%.2fs", seconds),
                    failed > 0 ? cat(", after ", failed, " failed attempts") : ""));
}

void CheckpointKeeper::save(std::uint64_t step, const Write& write) {
  if (saved_ == step) return;
  try {
    this->write(step, write);
  } catch (const engine::DiskFullError& e) {
    again_ = Clock::now() + pauses_.again;
    if (std::has_single_bit(unsigned(++failed_)))
      console_.warning(cat(e.what(), "; step ", step, " is not saved (attempt ", failed_, "); ",
                           last_good(), "; training goes on and tries again"));
  } catch (const RunError& e) {
    end(step, e.what());
  }
}

void CheckpointKeeper::save_at_end(std::uint64_t step, const Write& write) {
  for (std::size_t attempt = 0; saved_ != step; ++attempt) {
    try {
      this->write(step, write);
    } catch (const engine::DiskFullError& e) {
      const bool stopped = signals_.stop() != 0;
      const auto& waits = stopped ? pauses_.when_stopped : pauses_.at_end;
      if (failed_++ == 0 || attempt == 0)
        console_.warning(cat(e.what(), "; step ", step, " is not saved yet; ", last_good(),
                             "; waiting for room"));
      if (attempt >= waits.size() || wait(waits[attempt]) != stopped) end(step, e.what());
    } catch (const RunError& e) {
      end(step, e.what());
    }
  }
}

/// Returns whether a signal asks to stop: at once when the first one comes.
bool CheckpointKeeper::wait(std::chrono::milliseconds pause) const {
  const bool stopped = signals_.stop() != 0;
  for (const auto until = Clock::now() + pause; Clock::now() < until;) {
    if (!stopped && signals_.stop() != 0) break;
    std::this_thread::sleep_for(std::min(pause, std::chrono::milliseconds(50)));
  }
  return signals_.stop() != 0;
}

}  // namespace haze::apps
