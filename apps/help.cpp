#include "apps/help.h"

#include "apps/version.h"

namespace haze::apps {
namespace {

const CommandHelp kCommands[] = {
    {Command::train, "train", "train a denoising network on images",
     "  haze train --config demo --out runs/demo\n"
     "  haze train --config mnist --data mnist:data/mnist --out runs/mnist --resume\n",
     "Trains the network that the configuration describes. DIR gets config.json, metrics.jsonl,\n"
     "log.txt, sample grids and checkpoints. Ctrl-C or SIGTERM finishes the step, writes a "
     "checkpoint\n"
     "and leaves; a second one leaves at once; SIGUSR1 writes a checkpoint and goes on."},
    {Command::sample, "sample", "draw images from a trained network",
     "  haze sample --checkpoint runs/demo --out grid.png\n"
     "  haze sample --checkpoint runs/demo --n 16 --sampler ddim --eta 1 --steps 50 \\\n"
     "      --seed 7 --out a.png\n",
     "An image depends on the weights, the seed and its own number only: --batch changes none."},
    {Command::points, "points", "samples of a model of 2-D points, measured against their curve",
     "  haze points --checkpoint runs/s-curve --out points.png\n"
     "  haze points --checkpoint runs/s-curve --panels chain.png --json\n",
     "Prints the mean distance of the samples to the noiseless curve, and how many of them lie "
     "along\n"
     "each tenth of it. haze data points:s_curve says the same of the data."},
    {Command::edit, "edit", "vary, inpaint, interpolate or reconstruct given images",
     "  haze edit vary --checkpoint runs/mnist --image mnist:data/mnist#test@7 --strength 0.4\n"
     "  haze edit inpaint --checkpoint runs/mnist --image digit.png --mask mask.png --steps 100\n"
     "  haze edit interpolate --checkpoint runs/mnist --image a.png --image b.png --strength 0.6\n"
     "  haze edit reconstruct --checkpoint runs/mnist --image a.png --steps 50\n",
     "vary noises the image part of the way and draws it anew; inpaint keeps what is black in the\n"
     "mask, to the bit, and draws what is white; interpolate goes from one image to another;\n"
     "reconstruct follows DDIM backwards, --strength of the way into noise, and back. The picture\n"
     "shows what was given, then what was made of it."},
    {Command::verify, "verify", "hold a network against numbers recorded elsewhere",
     "  haze verify --config net.json --weights net.safetensors --fixture net.forward.safetensors\n"
     "  haze verify --config net.json --weights net.safetensors --fixture net.train.safetensors "
     "\\\n"
     "      --expect net.trained.safetensors\n",
     "Recognises a forward, gradient, sampling or training record by its tensors' names, computes "
     "it\n"
     "again and prints the largest differences. Exit 1 if one is over the tolerance."},
    {Command::export_weights, "export", "write plain weights under their system's own names",
     "  haze export --checkpoint runs/demo --out demo.safetensors\n"
     "  haze export --checkpoint runs/demo/checkpoints/step-00001000.safetensors --weights raw \\\n"
     "      --out raw.safetensors\n",
     "Writes the network's weights in PyTorch's layout, named as in the system that they come "
     "from."},
    {Command::eval, "eval", "measure how good samples are",
     "  haze eval --checkpoint runs/mnist --data mnist:data/mnist#test --n 1000 \\\n"
     "      --sampler ddim --steps 50 --features classifier:mnist-classifier.safetensors\n"
     "  haze eval --checkpoint runs/mnist --data mnist:data/mnist#test --data-n 64 --metrics nll\n"
     "  haze eval --samples mnist:data/mnist --n 5000 --data mnist:data/mnist#test\n",
     "Draws images and holds them against a data set: Fréchet distance, kernel distance (KID) and\n"
     "sliced Wasserstein distance of their features; how often a classifier sees the class asked "
     "for;\n"
     "and the negative log-likelihood of the data in bits per dimension.\n"
     "docs/eval.md says what each number is. Nothing of the run is touched."},
    {Command::classifier, "classifier", "train a classifier of a data set, to judge samples with",
     "  haze classifier --data mnist:data/mnist --out mnist-classifier.safetensors\n"
     "  haze classifier --data images:photos --epochs 10 --out photos.safetensors\n",
     "Says how many test images it gets right. haze eval measures in its features, and asks it "
     "which\n"
     "class a sample shows."},
    {Command::data, "data", "look at a data set",
     "  haze data synthetic:digits --out digits.png\n"
     "  haze data images:photos --size 64x64 --channels 3 --out grid.png\n",
     "Says how many images a data set has, their size, channels, classes and values, and draws a "
     "grid."},
    {Command::info, "info", "this build, this machine, a configuration, a picture",
     "  haze info\n"
     "  haze info --config mnist\n",
     "What to paste into a report of a fault. With a configuration: the network's blocks, their\n"
     "shapes and the number of parameters. With a PNG that haze has drawn: how it was made, as "
     "JSON:\n"
     "checkpoint, sampler, seed and the rest, enough to draw it again."},
    {Command::bench, "bench", "time a training step, a sampling step or every kernel; compare",
     "  haze bench step --config mnist\n"
     "  haze bench sample --config mnist --batch 16 --device cuda\n"
     "  haze bench kernels -k conv3x3,group_norm --shape n=64,h=16,c=128,co=128\n"
     "  haze bench kernels --explain group_norm_swish.forward --shape n=1,h=16,c=64,co=64\n"
     "  haze bench step --config mnist --precision bf16 --batch 64 --json > before.json\n"
     "  haze bench compare before.json after.json --fail-on 3%\n",
     "Times steps of a configuration on images of noise, or kernels alone, and prints median, "
     "spread\n"
     "and memory, for kernels also the share of what the device reached at best in the same run,\n"
     "and on a GPU earlier versions of the kernel, cuDNN and cuBLAS beside it.\n"
     "Cold: with the caches full of something else, as in a training step; hot: call after call.\n"
     "scripts/bench-cpu holds the figure against oneDNN alone and against PyTorch."},
};

}  // namespace

const CommandHelp* find_command(const std::string& name) {
  for (const CommandHelp& c : kCommands)
    if (name == c.name) return &c;
  return nullptr;
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const CommandHelp& c : kCommands) names.emplace_back(c.name);
  return names;
}

std::string short_help() {
  return std::string("haze ") + version() +
         " — trains and samples denoising diffusion models\n\n"
         "  haze train --config demo --out runs/demo           train on digits drawn by haze\n"
         "  haze sample --checkpoint runs/demo --out grid.png  draw images from it\n\n"
         "Subcommands: train, sample, edit, points, eval, classifier, verify, export, data, info, "
         "bench.\n"
         "haze SUBCOMMAND --help opens with examples. haze --help says what each is for.\n"
         "Configurations come as JSON files or by name: demo, mnist, fashion-mnist, celeba64, ...\n"
         "haze info --keys lists what a configuration may say; --set KEY=VALUE changes it for a "
         "run.\n"
         "haze info says what this build and this machine are: put it into reports of faults.\n";
}

std::string long_help() {
  std::string text =
      "Examples:\n"
      "  haze train --config demo --out runs/demo\n"
      "  haze sample --checkpoint runs/demo --out grid.png\n\n"
      "Usage: haze SUBCOMMAND [OPTIONS]\n\nSubcommands:\n";
  for (const CommandHelp& c : kCommands) {
    std::string name = std::string("  ") + c.name;
    name.resize(13, ' ');
    text += name + c.summary + "\n";
  }
  return text +
         "\nhaze SUBCOMMAND --help lists its options; haze --version says which haze this is.\n"
         "\nResults go to standard output, all else to standard error. Exit codes: 0 done; 1 it "
         "ran and\n"
         "the answer is no; 2 wrong use or bad input; 3 no such device; 130, 143 interrupted or\n"
         "terminated after a checkpoint was written.\n"
         "\nEnvironment: HAZE_DEVICE (--device), HAZE_DATA (--data), HAZE_RUNS (where run folders "
         "go),\n"
         "NO_COLOR, FORCE_COLOR, OMP_NUM_THREADS.\n";
}

}  // namespace haze::apps
