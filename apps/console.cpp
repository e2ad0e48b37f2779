// SPDX-License-Identifier: MIT
#include "apps/console.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

#include "apps/data/input_file.h"

namespace haze::apps {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// no-color.org and its counterparts.
bool wants_colour(Color asked, bool terminal) {
  if (asked != Color::automatic) return asked == Color::always;
  for (const char* force : {"FORCE_COLOR", "CLICOLOR_FORCE"})
    if (const auto v = environment(force); !v.empty() && v != "0") return true;
  return terminal && environment("NO_COLOR").empty();
}

/// "name value " of each field that a narrow terminal can do without goes, least needed first.
std::string fitted(std::string fields, std::size_t width) {
  for (const std::string name : {"sec/kimg ", "kimg ", "mem ", "gnorm ", "lr ", "batch "}) {
    if (fields.size() <= width) break;
    const auto at = (" " + fields).find(" " + name);
    if (at == fields.npos || at > fields.size()) continue;
    const auto end = fields.find(' ', at + name.size());
    fields.erase(at, end == fields.npos ? end : end + 1 - at);
  }
  return fields.substr(0, width);
}

int columns() {
  if (const int n = std::atoi(environment("COLUMNS").c_str()); n > 20) return n;
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

}  // namespace

void Console::configure(const CommonOptions& options) {
  level_ = options.quiet ? 0 : options.verbose ? 2 : 1;
  progress_ = options.progress && !options.quiet;
  terminal_ = isatty(STDERR_FILENO) && environment("TERM") != "dumb";
  colour_ = wants_colour(options.color, terminal_);
  if (!options.log_file.empty())
    log_file_ = std::make_unique<engine::LineWriter>(engine::disk(), options.log_file);
}

void Console::open_log(const std::string& path) {
  run_log_ = std::make_unique<engine::LineWriter>(engine::disk(), path);
}

void Console::clear_bar() {
  if (!bar_shown_) return;
  std::fputs("\r\033[K", stderr);
  bar_shown_ = false;
}

void Console::write(const std::string& text, const char* colour) {
  clear_bar();
  const bool paint = colour_ && *colour;
  std::fprintf(stderr, "%s%s%s\n", paint ? colour : "", printable(text).c_str(),
               paint ? "\033[0m" : "");
}

void Console::log(const std::string& text) {
  for (const auto& file : {&run_log_, &log_file_}) {
    if (!*file) continue;
    const std::string trouble = (*file)->append(printable(text));
    if (trouble.empty()) continue;
    if (log_trouble_) {
      write("haze: warning: " + trouble, kYellow);
      continue;
    }
    log_trouble_ = true;
    warning(trouble);
    log_trouble_ = false;
  }
}

void Console::say(const std::string& text, int level, const char* colour) {
  if (level_ >= level) write(text, colour);
  if (level <= std::max(level_, 1)) log(text);
}

void Console::error(const std::string& text) noexcept {
  try {
    const std::string line = "haze: error: " + text;
    write(line, kRed);
    log(line);
  } catch (const std::exception&) {
    // Out of memory, perhaps; standard error has said it.
  }
}

void Console::progress(double fraction, const std::string& text, bool must) {
  if (!progress_) return;
  const auto now = Clock::now();
  const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000);
  if (any_ && !must && now - last_ < pause) return;
  any_ = true;
  last_ = now;
  const std::string fields = printable(text);
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", fields.c_str());
    return;
  }
  const int width = columns() - 1, bar = width < 100 ? 10 : 20;
  const int full = int(std::lround(std::clamp(fraction, 0.0, 1.0) * bar));
  const std::string line = "[" + std::string(std::size_t(full), '=') +
                           std::string(std::size_t(bar - full), ' ') + "] " +
                           fitted(fields, std::size_t(width - bar - 3));
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  bar_shown_ = true;
}

std::string duration(double seconds) {
  const long s = std::lround(std::max(0.0, seconds));
  char text[32];
  if (s < 60)
    std::snprintf(text, sizeof text, "%lds", s);
  else if (s < 3600)
    std::snprintf(text, sizeof text, "%ldm%02lds", s / 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%ldh%02ldm", s / 3600, s / 60 % 60);
  return text;
}

double Stopwatch::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

double Stopwatch::rate(int done) const { return done / std::max(seconds(), 1e-9); }

}  // namespace haze::apps
