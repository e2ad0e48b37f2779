// main.cpp — the haze program: reads the command line, runs a subcommand, maps errors to exit
// codes.
#include <csignal>
#include <cstdio>
#include <new>

#include "apps/commands/commands.h"

namespace {

using namespace haze;
using namespace haze::apps;

constexpr int kNo = 1, kWrongUse = 2, kNoDevice = 3;

int run(const Options& o, Program program) {
  switch (o.command) {
    case Command::train:
      return run_train(o.train, program);
    case Command::sample:
      return run_sample(o.sample, program);
    case Command::verify:
      return run_verify(o.verify, program);
    case Command::export_weights:
      return run_export(o.export_weights, program);
    case Command::data:
      return run_data(o.data, program);
    case Command::info:
      return run_info(o.info, program);
    case Command::bench:
      return run_bench(o.bench, program);
    case Command::edit:
      return run_edit(o.edit, program);
    case Command::eval:
      return run_eval(o.eval, program);
    case Command::classifier:
      return run_classifier(o.classifier, program);
    case Command::points:
      return run_points(o.points, program);
    case Command::none:
      break;
  }
  std::fputs(o.text.c_str(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is a failed write, not the end of the process
  const std::vector<std::string> arguments(argv, argv + argc);
  Console console;
  console.configure({});  // for what is wrong with the options themselves
  try {
    const Options options = parse_options({arguments.begin() + (argc > 0), arguments.end()});
    console.configure(options.common);
    const int code = run(options, {options.common, console, arguments});
    if (std::fflush(stdout) != 0 || std::ferror(stdout))
      throw RunError("standard output: could not be written; is the disk full?");
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
  } catch (const std::exception& e) {
    console.error(
        cat(e.what(), "; this is a bug in haze: please report it with the output of haze info"));
  }
  return kNo;
}
