// SPDX-License-Identifier: MIT
#include "apps/signals.h"

#include <csignal>
#include <initializer_list>
#include <unistd.h>

namespace haze::apps {
namespace {

// Handlers can reach nothing but such variables.
volatile std::sig_atomic_t asked_to_stop = 0, asked_to_save = 0;

extern "C" void on_stop(int signal) {
  const int code = signal == SIGHUP ? SIGTERM : signal;
  if (asked_to_stop) _exit(128 + code);
  asked_to_stop = code;
}
extern "C" void on_save(int) { asked_to_save = 1; }

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

StopSignals::StopSignals() {
  asked_to_stop = 0;
  asked_to_save = 0;
  for (const int signal : {SIGINT, SIGTERM}) install(signal, on_stop);
  if (install(SIGHUP, on_stop) == SIG_IGN) install(SIGHUP, SIG_IGN);  // under nohup
  install(SIGUSR1, on_save);
  install(SIGPIPE, SIG_IGN);
}

StopSignals::~StopSignals() {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGPIPE}) install(signal, SIG_DFL);
}

int StopSignals::stop() const { return asked_to_stop; }

bool StopSignals::take_checkpoint_request() {
  const bool asked = asked_to_save;
  asked_to_save = 0;
  return asked;
}

}  // namespace haze::apps
