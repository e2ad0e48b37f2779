// SPDX-License-Identifier: MIT
// main.cpp — the haze program: reads the command line, runs a subcommand, and maps errors to exit
// codes, as haze --help lists them.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <new>
#include <system_error>
#include <unistd.h>

#include "apps/command_line.h"
#include "apps/cpu_threads.h"
#include "apps/signals.h"
#include "apps/standard_output.h"

namespace {

/// A standard stream that was closed at start would give its number to the first file that is
/// opened, and messages would land in that.
void open_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) open("/dev/null", O_RDWR);  // the lowest free one
}

}  // namespace

int main(int argc, char** argv) {
  using namespace haze;
  using namespace haze::apps;
  constexpr int kFailed = 1, kWrongUse = 2, kNoDevice = 3;

  open_standard_streams();
  remember_checkpoint_requests();
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is a failed write, not the end of the process
  const std::vector<std::string> arguments(argv, argv + argc);
  Console console;
  console.configure({});  // for what is wrong with the options themselves
  try {
    const CommandLine line = parse_command_line({arguments.begin() + (argc > 0), arguments.end()});
    console.configure(line.common);
    if (line.run)
      if (const std::string fewer = settle_threads(line.common); !fewer.empty())
        console.warning(fewer);
    print(line.text);
    const int code = line.run ? line.run({line.common, console, arguments}) : 0;
    flush_standard_output();
    return code;
  } catch (const InputError& e) {
    console.error(e.what());
    return kWrongUse;
  } catch (const DeviceError& e) {
    console.error(e.what());
    return kNoDevice;
  } catch (const RunError& e) {
    console.error(e.what());
  } catch (const std::bad_alloc&) {
    console.error(
        "out of memory: lower the batch size (train.batch_size, --batch) or split it "
        "(train.accumulate)");
  } catch (const std::system_error& e) {  // a thread that may not be started, say
    console.error(e.what());
  } catch (const std::exception& e) {
    console.error(
        cat(e.what(), "; this is a bug in haze: please report it with the output of haze info"));
  }
  return kFailed;
}
