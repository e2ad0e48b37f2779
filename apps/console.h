// SPDX-License-Identifier: MIT
// console.h — what is said on standard error: messages, and a bar on a terminal. Standard output is
// for results alone and is not touched here. Each message is one line, whatever it quotes: line
// breaks and other control characters in it come out as \xNN, here for all that is said or logged.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "apps/common_options.h"
#include "engine/files/new_file.h"

namespace haze::apps {

class Console {
 public:
  Console() = default;
  ~Console() { clear_bar(); }
  void configure(const CommonOptions& options);
  /// From now on every message also goes to this file, without colour, and no bars. RunError if it
  /// cannot be opened; one that cannot be written later is a warning, once.
  void open_log(const std::string& path);

  void info(const std::string& text) { say(text, 1, ""); }    // unless --quiet
  void detail(const std::string& text) { say(text, 2, ""); }  // with --verbose
  void warning(const std::string& text) { say("haze: warning: " + text, 1, kYellow); }
  /// The last line of a failed command: "haze: error: ...". Never throws.
  void error(const std::string& text) noexcept;

  /// Progress. On a terminal a bar, drawn over the one before at most ten times a second; elsewhere
  /// a line at most every ten seconds. `must` draws it whatever the time. `fraction` in [0, 1].
  void progress(double fraction, const std::string& fields, bool must = false);
  void clear_bar();
  bool quiet() const { return level_ == 0; }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr const char* kYellow = "\033[33m";
  static constexpr const char* kRed = "\033[31m";
  void say(const std::string& text, int level, const char* colour);
  void write(const std::string& text, const char* colour);
  void log(const std::string& text);

  int level_ = 1;  // 0 errors only, 1 messages, 2 details
  bool terminal_ = false, colour_ = false, progress_ = true, bar_shown_ = false, any_ = false;
  bool log_trouble_ = false;  // is being said: what fails meanwhile goes to standard error alone
  Clock::time_point last_{};
  std::unique_ptr<engine::LineWriter> run_log_, log_file_;
};

/// "3m02s", "2h05m", "41s".
std::string duration(double seconds);

/// Says of work that goes on since the watch was made how fast it is and how long it still takes.
class Stopwatch {
 public:
  double seconds() const;
  /// Of `done` parts so far, per second.
  double rate(int done) const;
  /// duration() of the parts that are left, at that rate.
  std::string left(int done, int total) const { return duration((total - done) / rate(done)); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace haze::apps
