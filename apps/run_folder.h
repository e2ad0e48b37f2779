// SPDX-License-Identifier: MIT
// run_folder.h — the folder of a run:
//
//   config.json    resolved, every key; feeding it back repeats the run
//   run.json       command line, version, host, times, exit code of the last start
//   log.txt        what standard error said, appended on resume
//   metrics.jsonl  one row per log_every steps; no row is past the checkpoint that a resume starts
//                  from
//   samples/step-NNNNNNNN.png, checkpoints/step-NNNNNNNN.safetensors, run.lock
//   bad-step-NNNNNNNN/  the step that ended the run, to be run again (bad_steps.h)
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/console.h"
#include "engine/files/checkpoint.h"

namespace haze::apps {

/// Does the folder hold a run already: a configuration, metrics or checkpoints?
bool holds_run(const std::string& folder);

/// The files at the top of a run's folder, which haze names itself.
inline constexpr std::array kRunFiles = {"config.json", "run.json", "log.txt", "metrics.jsonl",
                                         "run.lock"};
bool is_run_file(const std::string& name);

/// Whether a run may be started or gone on with in the folder: it is not there yet, it is empty but
/// for hidden files, or a run of haze's is in it, which its lock or its checkpoints tell. InputError
/// naming a file of any other folder, whose files are the user's; for one of the run's own names
/// that is a link, a pipe or a device; and for a folder that cannot be written into.
void check_run_folder(const std::string& folder);

/// Where a run goes without --out: HAZE_RUNS (or runs)/NNNNN-NAME-PRECISION, one past the last.
std::string next_run_folder(const std::string& name, const std::string& precision);
/// The same, and makes the folder: no two starts get the same number, whatever their names.
std::string claim_run_folder(const std::string& name, const std::string& precision);

/// Moves a run out of the way, to FOLDER.old-1 or the next free number; returns where it is now.
/// InputError if it is in use.
std::string move_away(const std::string& folder);

/// Who started a run, for run.json.
struct RunRecord {
  std::vector<std::string> arguments;
  std::string device;  // device_description of where it computes
  std::uint64_t seed = 0;
  std::optional<std::uint64_t> resumed_from;
};

/// Owns the folder until it dies.
class RunFolder {
 public:
  /// Creates it and takes its lock. InputError if another process has it.
  explicit RunFolder(const std::string& path);

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// path/samples/step-NNNNNNNN.png
  std::string sample_file(std::uint64_t step) const;

  /// For a start at `step` (0: afresh): drops the metrics rows past it; returns how many.
  std::size_t start(std::uint64_t step, const std::string& config_json, const RunRecord& record);
  /// A row that cannot be written is lost, and returned is what to say of it (LineWriter::append).
  [[nodiscard]] std::string add_metrics(const std::string& row) { return metrics_->append(row); }
  std::uint64_t lost_metrics() const { return metrics_ ? metrics_->lost() : 0; }
  /// Notes how it ended in run.json. Never throws: the end is reached on full disks too.
  void finish(int exit_code, std::uint64_t step) noexcept;

 private:
  void write_record(std::optional<int> exit_code, std::uint64_t step) const;
  std::string path_;
  engine::RunLock lock_;
  std::unique_ptr<engine::LineWriter> metrics_;
  RunRecord record_;
  std::string started_;
};

}  // namespace haze::apps
