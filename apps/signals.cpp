// SPDX-License-Identifier: MIT
#include "apps/signals.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <poll.h>
#include <unistd.h>

namespace haze::apps {
namespace {

// Handlers reach nothing but such variables, and call nothing but poll, write, alarm
// and _exit.
std::atomic<int> asked_to_stop = 0;
std::atomic<std::int64_t> asked_at = 0;  // milliseconds of the steady clock; 0: not asked
std::atomic<bool> asked_to_save = false, alive = false, quiet_start = false, on_terminal = false;
std::atomic<int> saving = 0, patience = 10;  // seconds
std::atomic<const char*> last_good = "";
static_assert(std::atomic<std::int64_t>::is_always_lock_free &&
              std::atomic<const char*>::is_always_lock_free);

constexpr std::int64_t kSameRequest = 1000;  // milliseconds

std::int64_t now_ms() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return std::int64_t(t.tv_sec) * 1000 + t.tv_nsec / 1000000 + 1;
}

void say(std::initializer_list<const char*> parts) {
  char line[1024];
  std::size_t size = 0;
  const auto add = [&](const char* text) {
    const std::size_t n = std::min(std::strlen(text), sizeof line - 1 - size);
    std::memcpy(line + size, text, n);
    size += n;
  };
  if (on_terminal) add("\r\033[K");  // over the bar
  for (const char* part : parts) add(part);
  line[size++] = '\n';
  // A terminal or pipe that takes nothing must not hold up the end of the process.
  pollfd room{STDERR_FILENO, POLLOUT, 0};
  if (poll(&room, 1, 0) <= 0) return;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line, size);  // nobody else to tell
}

const char* name_of(int signal) { return signal == SIGINT ? "SIGINT" : "SIGTERM"; }

[[noreturn]] void leave(const char* signal, const char* why) {
  say({"haze: error: ", signal, why, last_good.load()});
  _exit(128 + asked_to_stop);
}

extern "C" void on_stop(int signal) {
  const int error = errno, code = signal == SIGHUP ? SIGTERM : signal;
  const std::int64_t now = now_ms();
  std::int64_t first = 0;
  if (asked_at.compare_exchange_strong(first, now)) {
    asked_to_stop = code;
    alarm(unsigned(patience.load()));
    if (!quiet_start)
      say({name_of(code),
           ": finishing this step, then saving; the next signal leaves without saving"});
  } else if (now - first >= kSameRequest) {
    asked_to_stop = code;
    leave(name_of(code), ": not the first signal: left without saving");
  }
  errno = error;
}

extern "C" void on_alarm(int) {
  if (!asked_to_stop) return;
  if (saving == 0) leave(name_of(asked_to_stop), ": the step did not come to its end; not saved");
  alarm(unsigned(patience.load()));
}

extern "C" void on_save(int) { asked_to_save = true; }

void on_exit() {
  if (alive) say({"haze: error: ended by a library", last_good.load()});
}

using Handler = void (*)(int);
Handler install(int signal, Handler handler) {
  struct sigaction action {
  }, before{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // no system call of the file layer need be cut short
  sigaction(signal, &action, &before);
  return before.sa_handler;
}

}  // namespace

void remember_checkpoint_requests() { install(SIGUSR1, on_save); }

StopSignals::StopSignals(bool quiet, int seconds) : seconds_(seconds) {
  asked_to_stop = 0;
  asked_at = 0;
  saving = 0;
  patience = seconds;
  quiet_start = quiet;
  on_terminal = isatty(STDERR_FILENO) != 0;
  note_checkpoint("");
  static const int registered = std::atexit(on_exit);
  alive = registered == 0;
  install(SIGALRM, on_alarm);
  for (const int signal : {SIGINT, SIGTERM}) install(signal, on_stop);
  hangup_ignored_ = install(SIGHUP, on_stop) == SIG_IGN;
  if (hangup_ignored_) install(SIGHUP, SIG_IGN);
  remember_checkpoint_requests();
  install(SIGPIPE, SIG_IGN);
}

StopSignals::~StopSignals() {
  alive = false;
  alarm(0);
  for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGPIPE}) install(signal, SIG_DFL);
  if (!hangup_ignored_) install(SIGHUP, SIG_DFL);
  last_good = "";
}

int StopSignals::stop() const { return asked_to_stop; }

bool StopSignals::take_checkpoint_request() { return asked_to_save.exchange(false); }

void StopSignals::note_step(double seconds) {
  const double wanted = seconds_ + 3 * std::clamp(seconds, 0.0, 1e6);
  patience = std::max(patience.load(), int(std::ceil(wanted)));
}

void StopSignals::note_checkpoint(const std::string& path) {
  shown_ = 1 - shown_;
  last_good_[shown_] =
      path.empty() ? "; no checkpoint was written yet" : "; the last good checkpoint is " + path;
  last_good = last_good_[shown_].c_str();
}

void StopSignals::obeyed() { alarm(0); }

StopSignals::Saving::Saving() { ++saving; }
StopSignals::Saving::~Saving() { --saving; }

}  // namespace haze::apps
