// SPDX-License-Identifier: MIT
#include "apps/help.h"

#include "apps/command.h"
#include "apps/version.h"

namespace haze::apps {

std::string short_help() {
  std::string names;
  for (const Command& c : commands()) names += cat(names.empty() ? "" : ", ", c.name);
  return cat("haze ", version(),
             " — trains and samples denoising diffusion models\n\n"
             "  haze train --config demo --out runs/demo           train on digits drawn by haze\n"
             "  haze sample --checkpoint runs/demo --out grid.png  draw images from it\n\n"
             "Subcommands: ",
             names,
             ".\n"
             "haze SUBCOMMAND --help opens with examples. haze --help says what each is for.\n"
             "Configurations come as JSON files or by name: demo, mnist, fashion-mnist, celeba64, "
             "...\n"
             "haze info --keys lists what a configuration may say; --set KEY=VALUE changes it for "
             "a run.\n"
             "haze info says what this build and this machine are: put it into reports of "
             "faults.\n");
}

std::string long_help() {
  std::string text =
      "Examples:\n"
      "  haze train --config demo --out runs/demo\n"
      "  haze sample --checkpoint runs/demo --out grid.png\n\n"
      "Usage: haze SUBCOMMAND [OPTIONS]\n\nSubcommands:\n";
  for (const Command& c : commands()) {
    std::string name = cat("  ", c.name);
    name.resize(13, ' ');
    text += cat(name, c.summary, "\n");
  }
  return text +
         "\nhaze SUBCOMMAND --help lists its options; haze --version says which haze this is.\n"
         "\nResults go to standard output, all else to standard error. Exit codes: 0 done; 1 it "
         "ran and\n"
         "the answer is no; 2 wrong use or bad input; 3 no such device; 130, 143 interrupted or\n"
         "terminated after a checkpoint was written.\n"
         "\nEnvironment: HAZE_DEVICE (--device), HAZE_DATA (--data), HAZE_RUNS (where run folders "
         "go),\n"
         "NO_COLOR, FORCE_COLOR, OMP_NUM_THREADS; HAZE_DEBUG (no-graphs, streamed-data, "
         "separate-memory:\n"
         "slower ways to the same bits, to find a fault on a device).\n";
}

}  // namespace haze::apps
