// SPDX-License-Identifier: MIT
// main.cpp — the haze program: reads the command line, runs a subcommand, and maps errors to exit
// codes, as haze --help lists them.
#include <csignal>
#include <new>
#include <system_error>

#include "apps/command_line.h"
#include "apps/standard_output.h"

int main(int argc, char** argv) {
  using namespace haze;
  using namespace haze::apps;
  constexpr int kFailed = 1, kWrongUse = 2, kNoDevice = 3;

  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is a failed write, not the end of the process
  const std::vector<std::string> arguments(argv, argv + argc);
  Console console;
  console.configure({});  // for what is wrong with the options themselves
  try {
    const CommandLine line = parse_command_line({arguments.begin() + (argc > 0), arguments.end()});
    console.configure(line.common);
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
