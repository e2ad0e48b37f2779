// SPDX-License-Identifier: MIT
// train.cpp — `haze train`: from options to a run that starts, goes on, or is refused.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "apps/advice.h"
#include "apps/checkpointing.h"
#include "apps/command.h"
#include "apps/config/find.h"
#include "apps/cpu_threads.h"
#include "apps/device.h"
#include "apps/flag_groups.h"
#include "apps/memory.h"
#include "apps/memory_needs.h"
#include "apps/paths.h"
#include "apps/sample_grid.h"
#include "apps/standard_output.h"
#include "apps/training.h"
#include "apps/version.h"
#include "engine/device.h"

namespace haze::apps {
namespace {

namespace fs = std::filesystem;

struct TrainOptions {
  std::string config, out;
  Settings settings;  // flags, --set and the environment, over the file
  bool resume = false, overwrite = false, dry_run = false, print_config = false, skip_bad = false;
  bool fusion = true;
};

void add_flags(Flags& flags, TrainOptions& t) {
  flags.group("What to train");
  flags.input("--config", t.config, "FILE|NAME|-",
              "configuration: a file, a shipped name, or stdin");
  flags.settings(t.settings);
  const bool written = flags.written("--data");
  flags.value(
      "--data", "SPEC", "data set, e.g. mnist:DIR, images:DIR, synthetic:digits",
      [&t, written](const std::string& s) {
        if (!written && t.settings.count("data.spec")) return;  // --set wins over the environment
        t.settings["data.spec"] = {{{s}, false}, written ? "--data" : "HAZE_DATA"};
      },
      "HAZE_DATA");
  flags.boolean("--skip-bad", t.skip_bad, "leave out images that cannot be read");
  flags.group("Run");
  flags.output("--out", t.out, OutputKind::run, "DIR",
               "run folder [runs/NUMBER-NAME, under HAZE_RUNS if set]");
  flags.boolean("--resume", t.resume,
                "go on from the newest good checkpoint in DIR, if there is one");
  flags.boolean("--overwrite", t.overwrite,
                "move a run that is in DIR to DIR.old-1 and start afresh");
  flags.key("--steps", "N", "train.steps", t.settings, "steps of the whole run [configuration's]");
  flags.value("--seed", "N|random", "of everything drawn at random [configuration's]",
              [&t](const std::string& s) {
                t.settings["train.seed"] = {{{std::int64_t(seed_of(s))}, false}, "--seed"};
              });
  precision_key(flags, t.settings);
  flags.boolean("--dry-run", t.dry_run, "check all, say what would be done, write nothing");
  flags.boolean("--print-config", t.print_config,
                "print every key, its value and where it is from");
  compute_flags(flags, t.fusion);
}

/// The file's settings under those of the command line.
Settings gather(const TrainOptions& options) {
  Settings settings;
  if (!options.config.empty()) {
    settings = load_config(options.config);
  } else if (const std::string own = options.out + "/config.json";
             options.resume && !options.out.empty() && kind_of("--resume", own) != PathKind::none) {
    settings = load_config(own);
  } else {
    std::string names;
    for (const auto& name : shipped_configs()) names += (names.empty() ? "" : ", ") + name;
    throw InputError("--config: not given; a file or one of " + names +
                     "; try haze train --config demo --out runs/demo");
  }
  for (const auto& [key, setting] : options.settings) settings[key] = setting;
  if (options.skip_bad) settings["data.skip_bad"] = {{{true}, false}, "--skip-bad"};
  return settings;
}

/// A run goes on with the numbers of its classes; one from before their names were kept counted
/// bytewise.
ClassOrder order_of_run(const std::optional<engine::CheckpointHeader>& newest) {
  if (!newest) return {};
  const ClassNames names = class_names_of(newest->meta);
  return {names, names.empty()};
}

Dataset open_data(RunConfig& config, const ClassOrder& order, Console& console) {
  if (config.data.spec.empty())
    throw InputError(
        "data.spec: not given; name a data set with --data, as in --data synthetic:digits");
  DatasetOptions options;
  options.channels = config.model.image_channels;
  options.skip_bad = config.data.skip_bad;
  options.label = config.data.label;
  options.order = order;
  if (const auto& size = config.data.image_size; !size.empty()) {
    model::check_image_size(config.model, size[0], size[1]);
    options.height = size[0], options.width = size[1];
  }
  Dataset dataset = open_dataset(config.data.spec, options);
  model::check_image_size(config.model, dataset.height, dataset.width);
  config.data.image_size = {dataset.height, dataset.width};
  for (const std::string& note : dataset.notes) console.info(note);
  if (const int classes = config.model.num_classes; classes > 0)
    if (const auto most = std::ranges::max_element(dataset.labels);
        most == dataset.labels.end() || *most >= classes)
      throw InputError(cat("model.num_classes: ", classes, "; ", config.data.spec, " has ",
                           dataset.class_names.size(), " classes"));
  class_lines(dataset.class_names);  // throws for more than a checkpoint keeps
  if (config.model.num_classes > 0)
    console.info(
        cat("classes: ", classes_text(int(dataset.class_names.size()), dataset.class_names)));
  return dataset;
}

std::string describe(const RunConfig& config, const model::Network& network, const Dataset& data,
                     const Stream& stream) {
  const std::uint64_t parameters = network.parameters().elements();
  const unsigned copies = 4 + config.train.keeps_ema();  // weights, gradients, m, v, EMA
  return cat("network ", parameters, " parameters, ", byte_text(parameters * 4 * copies),
             " with gradients and optimiser; data ", data.spec, ", ", data.count, " images of ",
             data.height, "x", data.width, "x", data.channels, "; ", config.train.steps,
             " steps of ", config.train.batch_size, " images; seed ", config.seed, "; ",
             device_description(stream));
}

/// A resumed run is the same run: only how long it is and what it reports may change.
void check_same_run(const RunConfig& config, const Dataset& dataset,
                    const engine::CheckpointHeader& found) {
  RunConfig before = resolve(parse_settings(found.meta.config, found.path));
  auto& b = before.train;
  const auto& t = config.train;
  b.steps = t.steps, b.log_every = t.log_every, b.sample_every = t.sample_every;
  b.checkpoint_every = t.checkpoint_every, b.keep_checkpoints = t.keep_checkpoints;
  before.data.spec = config.data.spec;  // it may have moved: the fingerprint below decides
  before.data.skip_bad = config.data.skip_bad;
  if (const auto different = differences(config, before); !different.empty())
    throw InputError(
        cat("--resume: ", different[0], " as in ", found.path,
            "; resume with the same configuration, or start another run with another --out"));
  if (found.meta.dataset != dataset.fingerprint)
    throw InputError(
        cat("--resume: ", config.data.spec, "; these are not the images that ", found.path,
            " was trained on; give the same data, or start another run with another --out"));
}

/// What a run is made of.
struct Setup {
  Settings settings;
  RunConfig config;
  Stream stream;
  std::unique_ptr<model::Network> network;  // without memory as yet
  std::string path;                         // of the run's folder
  Dataset dataset;
};

/// The name of a run that is given no folder.
std::string run_name(const TrainOptions& options) {
  return options.config == "-" ? "run" : fs::path(options.config).stem().string();
}

std::string old_run(const std::string& folder) {
  return fs::path(folder + "/").parent_path().string() + ".old-1";
}

/// Where the run goes; only asks, so that a start that is refused leaves everything as it was.
std::string choose_folder(const TrainOptions& options, const RunConfig& config) {
  if (options.out.empty()) {
    if (options.resume || options.overwrite)
      throw InputError(cat(options.resume ? "--resume" : "--overwrite",
                           ": which run? give its folder with --out DIR"));
    return next_run_folder(run_name(options), name_of(config.precision));
  }
  if (options.resume && options.overwrite)
    throw InputError("--overwrite: given with --resume; one of the two");
  if (!options.resume && !options.overwrite && holds_run(options.out))
    throw InputError(cat("--out: ", options.out,
                         "; it holds a run already; --resume goes on with that run, "
                         "--overwrite moves it to ",
                         old_run(options.out), " and starts afresh"));
  return options.out;
}

/// Takes the folder, moving another run away if asked to. What choose_folder saw may be long ago:
/// under the lock it is asked again.
std::unique_ptr<RunFolder> take_folder(const TrainOptions& options, Setup& s, Console& console) {
  if (options.out.empty())
    s.path = claim_run_folder(run_name(options), name_of(s.config.precision));
  if (options.overwrite && holds_run(s.path))
    console.info(cat("the run in ", s.path, " is now in ", move_away(s.path)));
  auto folder = std::make_unique<RunFolder>(s.path);
  if (!options.resume && holds_run(s.path))
    throw InputError(cat("--out: ", s.path,
                         "; another process has put a run there since this one began; --resume "
                         "goes on with that run, --overwrite moves it to ",
                         old_run(s.path), " and starts afresh"));
  return folder;
}

/// runs/latest -> the newest run. A convenience: failure is no matter.
void link_latest(const std::string& folder) {
  std::error_code none;
  const fs::path link = fs::path(folder).parent_path() / "latest";
  if (fs::is_symlink(link, none)) fs::remove(link, none);
  fs::create_directory_symlink(fs::path(folder).filename(), link, none);
}

void say_end(const Training& training, const RunConfig& config, const std::string& folder, int code,
             Console& console) {
  if (code != 0) {
    console.info(cat("stopped at step ", training.steps_done(), " of ", config.train.steps,
                     "; go on with: haze train --resume --out ", folder));
    return;
  }
  char line[96];
  std::snprintf(line, sizeof line, "loss %.5f (mean of the last steps), %.4g images/s",
                training.mean_loss(), training.images_per_second());
  console.info(cat("done: step ", training.steps_done(), ", ", line));
  if (const auto skipped = training.steps_skipped(); skipped > 0)
    console.info(cat("skipped steps: ", skipped, "; metrics.jsonl says which and why"));
  if (config.train.sample_every > 0) console.info(cat("samples: ", folder, "/samples"));
  console.info(cat("next: haze sample --checkpoint ", folder, " --out grid.png"));
}

/// Refuses whatever can be refused before the run's folder is touched.
Setup set_up(const TrainOptions& options, Settings settings, const Program& program) {
  RunConfig config = resolve(settings);
  const Stream stream =
      in_precision(open_device(program.common), config.precision, "train.precision");
  auto network = model::make_network(config.model);
  model::make_schedule(config.diffusion);  // throws for a schedule that cannot be
  const std::string path = choose_folder(options, config);
  check_run_folder(path);
  if (!(options.resume && holds_run(path))) refuse_unused_keys(config);
  std::optional<engine::CheckpointHeader> newest;
  if (options.resume) newest = engine::newest_checkpoint_header(engine::disk(), path);
  // Before the data, whose pictures are decoded by threads.
  const int threads =
      newest && engine::depends_on_threads(stream, config.activations()) ? newest->meta.threads : 0;
  if (threads > 0)
    if (const std::string other = go_on_with_threads(program.common, threads); !other.empty())
      program.console.warning(other);
  Dataset dataset = open_data(config, order_of_run(newest), program.console);
  if (config.train.sample_every > 0 && has_picture(config))
    check_picture(config, plan_grid(config).count);
  if (threads == 0)
    fit_threads(program.common, double(network->parameters().elements()) * config.train.batch_size *
                                    dataset.height * dataset.width);
  return {std::move(settings), std::move(config), stream, std::move(network), path,
          std::move(dataset)};
}

/// --dry-run: what would be done.
void print_plan(const TrainOptions& options, const Setup& s, Console& console) {
  console.info(describe(s.config, *s.network, s.dataset, s.stream) + "; folder " + s.path);
  for (const std::string& line : advice_for_training(s.config)) console.warning(line);
  const std::string text =
      options.print_config ? to_text_with_origins(s.config, s.settings) : to_json(s.config);
  print(text);
}

std::optional<engine::Checkpoint> newest_checkpoint(const Setup& s) {
  return engine::load_newest_checkpoint(
      engine::disk(), s.path, "",
      [&](const engine::CheckpointHeader& h) { check_same_run(s.config, s.dataset, h); });
}

void say_complete(const Setup& s, const engine::Checkpoint& last, Console& console) {
  for (const std::string& message : last.messages) console.warning(message);
  console.info(cat("complete at step ", last.meta.step, ", train.steps is ", s.config.train.steps,
                   "; to go on: haze train --resume --out ", s.path, " --steps ",
                   2 * last.meta.step));
  print_line(last.path);
}

/// Writes config.json and run.json, drops the metrics after step `first` and opens log.txt.
/// Returns the number of rows dropped.
std::size_t begin_files(const TrainOptions& options, const Setup& s, bool resumed,
                        std::uint64_t first, RunFolder& folder, const Program& program) {
  RunRecord record{program.arguments, device_description(s.stream), s.config.seed, {}};
  if (resumed) record.resumed_from = first;
  const std::size_t dropped = folder.start(first, to_json(s.config), record);
  program.console.open_log(folder.file("log.txt"));
  if (options.out.empty()) link_latest(s.path);
  program.console.info(cat("haze ", version(), "; run folder ", s.path));
  program.console.info(describe(s.config, *s.network, s.dataset, s.stream));
  for (const std::string& line : advice_for_training(s.config)) program.console.warning(line);
  return dropped;
}

/// Trains to the end, or until a signal stops it; the exit code.
int train(Training& training, const Setup& s, std::uint64_t first, RunFolder& folder,
          Console& console) {
  try {
    const int code = training.run(first);
    folder.finish(code, training.steps_done());
    say_end(training, s.config, s.path, code, console);
    if (code == 0) print_line(training.last_checkpoint());
    return code;
  } catch (const std::exception&) {
    folder.finish(1, training.steps_done());
    throw;
  }
}

int run(const TrainOptions& options, const Program& program) {
  Console& console = program.console;
  Settings settings = gather(options);
  if (options.print_config && !options.dry_run) {
    print(to_text_with_origins(resolve(settings), settings));
    return 0;
  }
  Setup setup = set_up(options, std::move(settings), program);
  const std::string needs = training_needs(
      setup.config, setup.dataset, {setup.stream, setup.config.activations(), options.fusion});
  if (options.dry_run) {
    print_plan(options, setup, console);
    console.info(needs);
    return 0;
  }

  // Memory before the folder is touched: a network that is too large leaves it as it was. But the
  // checkpoint that a resumed run begins with is read first, under the folder's lock.
  std::unique_ptr<RunFolder> folder;
  std::optional<engine::Checkpoint> from;
  if (options.resume) {
    folder = take_folder(options, setup, console);
    from = newest_checkpoint(setup);
  }
  const std::uint64_t first = from ? from->meta.step : 0;
  if (from && first >= std::uint64_t(setup.config.train.steps)) {
    say_complete(setup, *from, console);
    return 0;
  }
  engine::Parameters& parameters = setup.network->parameters();
  model::StateDict state;  // of the trainer
  if (from)
    state = restore_state(*from, parameters, setup.stream, setup.config);
  else
    parameters.allocate(setup.stream, setup.config.seed, true, setup.config.train.keeps_ema(),
                        setup.config.activations());
  if (!folder) folder = take_folder(options, setup, console);
  const std::size_t dropped =
      begin_files(options, setup, from.has_value(), first, *folder, program);
  if (from) {
    for (const std::string& message : from->messages) console.warning(message);
    console.info(cat("resumed at step ", first, " (rows after it dropped: ", dropped, ")"));
    const RunConfig before = resolve(parse_settings(from->meta.config, from->path));
    for (const std::string& line : advice_for_resuming(before, setup.config, first))
      console.warning(line);
  } else if (options.resume) {
    console.info("nothing to resume: starting afresh");
  }

  console.detail(needs);
  engine::Context context(setup.stream, setup.config.activations());
  context.fusion = options.fusion;
  Training training(setup.config, setup.dataset, context, *setup.network, *folder, console);
  training.mark_saved(first);
  if (first > 0) training.restore(state);
  return train(training, setup, first, *folder, console);
}

}  // namespace

Command train_command() {
  return {
      .name = "train",
      .summary = "train a denoising network on images",
      .examples = R"(  haze train --config demo --out runs/demo
  haze train --config mnist --data mnist:data/mnist --out runs/mnist --resume
)",
      .about =
          R"(Trains the network that the configuration describes. DIR gets config.json, metrics.jsonl,
log.txt, sample grids and checkpoints. Ctrl-C or SIGTERM finishes the step, writes a checkpoint
and leaves; another, a second or more later, leaves at once; SIGUSR1 saves and goes on.
Often set: train.learning_rate, train.batch_size, train.ema_decay, diffusion.steps, and the width,
model.n_channels (labml_unet) or model.block_out_channels (ddpm_unet). haze info --keys has all.)",
      .action = {add_flags, run}};
}

}  // namespace haze::apps
