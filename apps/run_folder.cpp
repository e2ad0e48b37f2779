// SPDX-License-Identifier: MIT
#include "apps/run_folder.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <random>
#include <thread>
#include <unistd.h>

#include "apps/data/input_file.h"
#include "apps/device.h"
#include "apps/json_writer.h"
#include "apps/paths.h"
#include "apps/version.h"
#include "engine/files/output.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

namespace fs = std::filesystem;

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

std::string padded(std::uint64_t number, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llu", digits, static_cast<unsigned long long>(number));
  return text;
}

fs::path runs_folder() {
  const char* base = std::getenv("HAZE_RUNS");
  return base && *base ? base : "runs";
}

/// The numbers that names in the folder begin with.
std::vector<std::uint64_t> run_numbers(const fs::path& runs) {
  std::vector<std::uint64_t> numbers;
  std::vector<std::string> files;
  engine::disk().list(runs.string(), files);  // without a folder, the first run makes it
  for (const std::string& file : files) {
    const auto number = parse_number<std::uint64_t>(leading_digits(file));
    if (number && *number < 100000) numbers.push_back(*number);
  }
  return numbers;
}

}  // namespace

bool holds_run(const std::string& folder) {
  std::error_code none;
  return fs::exists(folder + "/config.json", none) || fs::exists(folder + "/metrics.jsonl", none) ||
         !engine::list_checkpoints(engine::disk(), folder).empty();
}

bool is_run_file(const std::string& name) {
  return std::ranges::find(kRunFiles, name) != kRunFiles.end();
}

void check_run_folder(const std::string& folder) {
  engine::FileSystem& disk = engine::disk();
  try {
    engine::check_output_folder(disk, folder);
  } catch (const InputError& e) {
    throw InputError(cat("--out: ", e.what()));
  }
  std::vector<std::string> names;
  disk.list(folder, names);
  std::ranges::sort(names);
  engine::FileStatus lock;
  const bool run = disk.status_of(folder + "/run.lock", false, lock) >= 0 ||
                   !engine::list_checkpoints(disk, folder).empty();
  for (const std::string& name : names) {
    if (is_run_file(name)) engine::require_regular(disk, folder + "/" + name);
    std::error_code none;
    // What a start that was killed at once leaves, and what file systems put into each folder.
    const bool nothing = name.starts_with('.') || name == "lost+found" ||
                         (name == "checkpoints" && fs::is_empty(folder + "/checkpoints", none));
    if (!run && !nothing)
      throw InputError(cat("--out: ", folder, "; there is no run of haze's in it, but ", name,
                           ": a new or empty folder"));
  }
}

std::string next_run_folder(const std::string& name, const std::string& precision) {
  const std::vector<std::uint64_t> numbers = run_numbers(runs_folder());
  const std::uint64_t last = numbers.empty() ? 0 : std::ranges::max(numbers);
  return (runs_folder() / cat(padded(last + 1, 5), "-", name, "-", precision)).string();
}

std::string claim_run_folder(const std::string& name, const std::string& precision) {
  engine::make_directories(engine::disk(), runs_folder());
  for (;;) {
    const std::string folder = next_run_folder(name, precision);
    const int made = engine::disk().make_dir(folder);
    if (made < 0 && made != -EEXIST)
      throw RunError(engine::failure("make the directory", folder, made));
    if (made >= 0) {
      const auto numbers = run_numbers(runs_folder());
      const auto mine =
          parse_number<std::uint64_t>(leading_digits(fs::path(folder).filename().string()));
      if (std::ranges::count(numbers, mine.value_or(0)) == 1) return folder;
      // Another start has the number under another name. Of two that see each other both give way,
      // each for a time of its own.
      std::error_code none;
      fs::remove(folder, none);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(std::random_device()() % 20000));
  }
}

std::string move_away(const std::string& folder) {
  if (!ends_in_name(folder))
    throw InputError(cat("--overwrite: the run in ", printable(folder),
                         "; name its folder as seen from the one above, so that it can be moved"));
  const engine::RunLock lock(engine::disk(), folder);
  for (int i = 1;; ++i) {
    const std::string to = cat(fs::path(folder + "/").parent_path().string(), ".old-", i);
    const int result = engine::disk().rename(folder, to, false);
    if (result == -EEXIST || result == -ENOTEMPTY) continue;
    if (result < 0) throw RunError(engine::failure("move", folder, result));
    return to;
  }
}

RunFolder::RunFolder(const std::string& path) : path_(path), lock_(engine::disk(), path) {}

std::string RunFolder::sample_file(std::uint64_t step) const {
  return file("samples/step-" + padded(step, 8) + ".png");
}

std::size_t RunFolder::start(std::uint64_t step, const std::string& config_json,
                             const RunRecord& record) {
  engine::FileSystem& disk = engine::disk();
  engine::make_directories(disk, file("samples"));
  const std::size_t dropped = engine::drop_metrics_after(disk, file("metrics.jsonl"), step);
  engine::write_file_atomically(disk, file("config.json"), config_json);
  record_ = record;
  started_ = utc_now();
  write_record({}, step);
  metrics_ = std::make_unique<engine::LineWriter>(disk, file("metrics.jsonl"));
  return dropped;
}

void RunFolder::write_record(std::optional<int> exit_code, std::uint64_t step) const {
  JsonWriter w;
  w.begin_object().key("argv").begin_array();
  for (const std::string& argument : record_.arguments) w.value(argument);
  w.end_array().field("version", version()).field("commit", commit());
  w.field("host", host_name()).field("cpu", cpu_description()).field("threads", thread_count());
  w.field("device", record_.device);
  w.field("seed", record_.seed).key("resumed_from");
  if (record_.resumed_from)
    w.value(*record_.resumed_from);
  else
    w.raw("null");
  w.field("start", started_).key("end");
  if (exit_code)
    w.value(utc_now()).field("exit", *exit_code);
  else
    w.raw("null").key("exit").raw("null");
  w.field("step", step).end_object();
  engine::write_file_atomically(engine::disk(), file("run.json"), w.text() + "\n");
}

void RunFolder::finish(int exit_code, std::uint64_t step) noexcept {
  try {
    write_record(exit_code, step);
  } catch (const std::exception&) {
    // What went wrong first is what the user must hear.
  }
}

}  // namespace haze::apps
