// options.cpp — the command line, read by CLI11. Every value is checked here or by the table of
// configuration keys, so that all errors have one form.
#include "apps/options.h"

#include <random>

#include "apps/flags.h"
#include "apps/help.h"
#include "apps/version.h"

namespace haze::apps {

void CommonOptions::refuse(std::initializer_list<const char*> flags, const std::string& with,
                           const std::string& allowed) const {
  for (const char* flag : flags)
    if (given.contains(flag)) throw InputError(cat(flag, ": given with ", with, "; ", allowed));
}

std::uint64_t seed_of(const std::string& text) {
  if (text == "random") return std::random_device()();
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error != std::errc() || end != text.data() + text.size() || seed >> 53)
    throw InputError(cat("--seed: ", text, "; a whole number from 0 to 2^53 - 1, or random"));
  return seed;
}

std::vector<int> size_of(const std::string& text) {
  int height = 0, width = 0;
  const char* end = text.data() + text.size();
  const auto h = std::from_chars(text.data(), end, height);
  bool good = h.ec == std::errc() && h.ptr != end && *h.ptr == 'x';
  if (good) {
    const auto w = std::from_chars(h.ptr + 1, end, width);
    good = w.ec == std::errc() && w.ptr == end;
  }
  if (!good || std::min(height, width) < 1 || std::max(height, width) > 16384)
    throw InputError(cat("--size: ", text, "; HEIGHTxWIDTH in pixels, as in 32x32"));
  return {height, width};
}

void common_flags(Flags& flags, CommonOptions& o) {
  flags.group("Output");
  flags.yes("-q,--quiet", o.quiet, "errors only");
  flags.yes("-v,--verbose", o.verbose, "say more, such as where it computes");
  flags.one_of(
      "--color", {"auto", "always", "never"}, "of messages; auto: on a terminal [auto]",
      [&o](const std::string& s) {
        o.color = s == "auto" ? Color::automatic : s == "always" ? Color::always : Color::never;
      });
  flags.yes("--no-progress", o.progress, "no bar and no progress lines", false);
  flags.text("--log-file", o.log_file, "FILE", "append what standard error says to FILE");
}

void compute_flags(Flags& flags, CommonOptions& o, bool& fusion) {
  flags.group("Computing");
  flags.text("--device", o.device, "cpu|cuda|cuda:N", "where to compute [cpu]")
      ->envname("HAZE_DEVICE");
  flags.number("--threads", o.threads, 1, 4096, "CPU threads [all, one for a small network]");
  flags.one_of("--fusion", {"on", "off"}, "off: fused ops run as the ops they are made of [on]",
               [&fusion](const std::string& s) { fusion = s == "on"; });
}

namespace {

std::vector<int> steps_of(const std::string& text, bool several) {
  std::vector<int> steps;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    int n = 0;
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, n);
    if (error != std::errc() || stop != text.data() + end || n < 1 || n > 100000)
      throw InputError(
          cat("--steps: ", text,
              several ? "; whole numbers from 1 to 100000, separated by commas, as in 10,20"
                      : "; a whole number from 1 to 100000"));
    steps.push_back(n);
    at = end + 1;
  }
  if (steps.size() > 1 && !several)
    throw InputError(cat("--steps: ", text, "; one number; haze sample compares several"));
  return steps;
}

}  // namespace

void metadata_flag(Flags& flags, SampleOptions& s) {
  flags.yes("--no-metadata", s.metadata, "leave out how it was made; haze info PNG shows that",
            false);
}

void sampler_flags(Flags& flags, SampleOptions& s, const std::string& usual, bool compares) {
  flags.group("What to sample");
  flags.text("--checkpoint", s.checkpoint, "PATH",
             "a run folder (its newest good checkpoint) or a file");
  weights_flag(flags, s);
  flags.number("-n,--n", s.n, 1, 1 << 20, cat("images [", s.n, "]"));
  flags.value("--seed", "N|random", "of what is drawn at random [0]",
              [&s](const std::string& t) { s.seed = seed_of(t); });
  flags.group("Sampler");
  Strings samplers = {"ddpm", "ddim", "dpmpp", "heun"};
  if (compares) samplers.emplace_back("all");
  flags.one_of(
      "--sampler", samplers,
      cat("dpmpp: DPM-Solver++ 2M", compares ? "; all: side by side" : "", " [", usual, "]"),
      [&s](const std::string& t) { s.sampler = t; });
  flags.value("--steps", compares ? "N,..." : "N",
              cat("steps per image", compares ? "; several: side by side" : "", " [the chain's]"),
              [&s, compares](const std::string& t) {
                s.all_steps = steps_of(t, compares);
                s.steps = s.all_steps[0];
              });
  flags.number("--eta", s.eta, 0, 1, "noise of ddim: 0 none, 1 as ddpm [0]");
  flags.one_of("--spacing", {"linspace", "leading", "trailing"},
               "which times a shorter chain visits [linspace]",
               [&s](const std::string& t) { s.spacing = t; });
  flags.group("Classes, of a network trained with model.num_classes");
  flags.text("--class", s.label, "N|each|none", "what to draw; each: one after the other [none]");
  flags.number("--guidance", s.guidance, -1000, 1000,
               "weight of classifier-free guidance; 1: none, 0: no class [1]");
  flags.number("--guidance-rescale", s.rescale, 0, 1,
               "part in which its contrast is taken back [0]");
}

namespace {

void precision_key(Flags& flags, Settings& settings) {
  flags.key("--precision", "f32|tf32|bf16", "train.precision", settings,
            "of activations; tf32: f32, products rounded [configuration's]");
}

void train_flags(Flags flags, Options& o, bool data_flag_given) {
  TrainOptions& t = o.train;
  flags.group("What to train");
  flags.text("--config", t.config, "FILE|NAME|-",
             "configuration: a file, a shipped name, or stdin");
  flags.settings(t.settings);
  flags
      .value("--data", "SPEC", "data set, e.g. mnist:DIR, images:DIR, synthetic:digits",
             [&t, data_flag_given](const std::string& s) {
               if (!data_flag_given && t.settings.count("data.spec"))
                 return;  // --set wins over env
               t.settings["data.spec"] = {{{s}, false}, data_flag_given ? "--data" : "HAZE_DATA"};
             })
      ->envname("HAZE_DATA");
  flags.yes("--skip-bad", t.skip_bad, "leave out images that cannot be read");
  flags.group("Run");
  flags.text("--out", t.out, "DIR", "run folder [runs/NUMBER-NAME, under HAZE_RUNS if set]");
  flags.yes("--resume", t.resume, "go on from the newest good checkpoint in DIR, if there is one");
  flags.yes("--overwrite", t.overwrite, "move a run that is in DIR to DIR.old-1 and start afresh");
  flags.key("--steps", "N", "train.steps", t.settings, "steps of the whole run [configuration's]");
  flags.value("--seed", "N|random", "of everything drawn at random [configuration's]",
              [&t](const std::string& s) {
                t.settings["train.seed"] = {{{std::int64_t(seed_of(s))}, false}, "--seed"};
              });
  precision_key(flags, t.settings);
  flags.yes("--dry-run", t.dry_run, "check all, say what would be done, write nothing");
  flags.yes("--print-config", t.print_config, "print every key, its value and where it is from");
  compute_flags(flags, o.common, t.fusion);
  common_flags(flags, o.common);
}

void sample_flags(Flags flags, Options& o) {
  SampleOptions& s = o.sample;
  sampler_flags(flags, s, "ddpm", true);
  flags.group("Sampler");
  flags.text("--noise", s.noise, "FILE",
             "given noise: safetensors with x_T and, for ddpm and ddim, z");
  flags.group("Result");
  flags.text("--out", s.out, "FILE|-", "PNG grid; DIR/ or DIR/%05d.png: each its own [grid.png]");
  flags.text("--save-tensors", s.save_tensors, "FILE|-",
             "the images as safetensors: samples [n,C,H,W]");
  flags.text("--animation", s.animation, "FILE|-",
             "animated PNG of the predictions along the chain; as one batch");
  metadata_flag(flags, s);
  compute_flags(flags, o.common, s.fusion);
  flags.number("--batch", s.batch, 1, 65536, "images per network call; changes no image [64]");
  flags.precision(s.precision, "of activations; tf32: on cuda [as trained]");
  common_flags(flags, o.common);
}

void points_flags(Flags flags, Options& o) {
  PointsOptions& p = o.points;
  sampler_flags(flags, p, "ddpm");
  flags.group("Result");
  flags.text("--out", p.out, "FILE|-", "PNG of all samples and the curve [points.png]");
  flags.text("--panels", p.panels, "FILE|-",
             "PNG of the chain: data destroyed, samples rebuilt [none]");
  flags.yes("--json", p.json, "one JSON document on standard output");
  metadata_flag(flags, p);
  compute_flags(flags, o.common, p.fusion);
  flags.number("--batch", p.batch, 1, 65536, "points per network call; changes none [1000]");
  common_flags(flags, o.common);
}

void verify_flags(Flags flags, Options& o) {
  VerifyOptions& v = o.verify;
  flags.group("What to verify");
  flags.text("--config", v.config, "FILE|NAME|-", "configuration of the network");
  flags.text("--weights", v.weights, "FILE", "safetensors under the system's own names");
  flags.text("--fixture", v.fixture, "FILE", "the recorded numbers");
  flags.text("--expect", v.expect, "FILE", "a training record: the weights after it");
  flags.group("Result");
  flags.text("--output", v.output, "FILE", "write what was computed, under the record's names");
  flags.yes("--json", v.json, "one JSON document on standard output");
  compute_flags(flags, o.common, v.fusion);
  flags.precision(v.precision, "of activations; bf16: within twice the recorded error [f32]");
  common_flags(flags, o.common);
}

void export_flags(Flags flags, Options& o) {
  ExportOptions& e = o.export_weights;
  flags.text("--checkpoint", e.checkpoint, "PATH",
             "a run folder (its newest good checkpoint) or a file");
  weights_flag(flags, e);
  flags.text("--out", e.out, "FILE|-", "safetensors file to write");
  common_flags(flags, o.common);
}

void data_flags(Flags flags, Options& o) {
  DataOptions& d = o.data;
  flags.group("What to look at");
  flags.text("SPEC", d.spec, "", "mnist:DIR, cifar10:DIR, images:DIR, synthetic:digits, ...")
      ->envname("HAZE_DATA");
  flags.text("--label", d.label, "NAME", "this class only [all]");
  flags.value("--size", "HxW", "resize to height x width pixels [as the data is]",
              [&d](const std::string& s) { d.size = size_of(s); });
  flags.number("--channels", d.channels, 1, 3, "1 grey, 3 colour [as the data is]");
  flags.yes("--skip-bad", d.skip_bad, "leave out images that cannot be read");
  flags.group("Result");
  flags.text("--out", d.out, "FILE|-", "PNG of the first 64 images, or of all points [none]");
  flags.yes("--json", d.json, "one JSON document on standard output");
  common_flags(flags, o.common);
}

void info_flags(Flags flags, Options& o) {
  InfoOptions& i = o.info;
  flags.text("PNG", i.picture, "", "a picture that haze has drawn: print how it was made");
  flags.text("--config", i.config, "FILE|NAME|-", "describe this configuration's network too");
  flags.settings(i.settings);
  flags.yes("--keys", i.keys, "list every configuration key: what is allowed, what it is for");
  flags.yes("--schema", i.schema, "the keys as JSON Schema, for editors that complete and check");
  flags.yes("--json", i.json, "one JSON document on standard output");
  common_flags(flags, o.common);
}

void bench_flags(Flags flags, Options& o) {
  BenchOptions& b = o.bench;
  flags.group("What to time");
  flags.text("WHAT", b.what, "", "step, sample, kernels (each alone), or compare two results");
  flags.text("BEFORE", b.before, "", "with compare: what --out or --json wrote");
  flags.text("AFTER", b.after, "", "and what it wrote then");
  flags.text("--config", b.config, "FILE|NAME|-", "configuration of network and training");
  flags.settings(b.settings);
  flags.key("--batch", "N", "train.batch_size", b.settings, "images per step [configuration's]");
  precision_key(flags, b.settings);
  flags.number("--steps", b.steps, 1, 100000, "steps to time [20]");
  flags.number("--warmup", b.warmup, 0, 100000, "steps of training before them [4]");
  flags.group("Kernels");
  flags.list("-k,--kernel", b.kernels, "NAME[,NAME...]", "kernels, or how their names begin [all]",
             ',');
  flags.list("--shape", b.shapes, "n=N,h=H,c=C,co=C",
             "images, height and width, channels in and out; may be repeated");
  flags.text("--explain", b.explain, "NAME",
             "trace this kernel in the emulator: traffic, bank conflicts, races");
  flags.yes("--list", b.list, "names of the kernels; KERNEL/VERSION is an earlier version of one");
  flags.group("Result");
  flags.yes("--json", b.json, "one JSON document on standard output, with every sample");
  flags.text("--out", b.out, "FILE", "write that JSON document here; the table comes all the same");
  flags.number("--fail-on", b.fail_on, 0, 1000,
               "compare: exit code 1 if a result is slower by more than N % [no]", '%');
  compute_flags(flags, o.common, b.fusion);
  common_flags(flags, o.common);
}

/// Whatever CLI11 objects to, in haze's form.
[[noreturn]] void explain(const CLI::App& command, const CLI::ParseError& error) {
  const std::string help = "; see haze " + command.get_name() + " --help";
  if (const auto extras = command.remaining(); !extras.empty()) {
    Strings known;
    for (const CLI::Option* option : command.get_options())
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    std::string word = extras[0].substr(0, extras[0].find('='));
    std::string guess = word.starts_with("--") ? nearest(word, known) : "";
    throw InputError(cat(word, word.starts_with("-") ? ": no such flag" : ": not expected here",
                         guess.empty() ? help : "; did you mean " + guess + "?"));
  }
  std::string what = error.what();
  what.erase(std::min(what.find('\n'), what.size()));
  if (const auto at = what.find(": 1 required "); at != what.npos)
    what = what.substr(0, at) + ": needs one value";
  if (const auto at = what.find(": At Most 1 "); at != what.npos)
    what = what.substr(0, at) + ": given more than once";
  throw InputError(what + help);
}

}  // namespace

Options parse_options(const Strings& arguments) {
  Options o;
  const std::string first = arguments.empty() ? "" : arguments[0];
  if (arguments.empty()) return o.text = short_help(), o;
  if (first == "--version") return o.text = cat("haze ", version(), "\n"), o;
  if (first == "help" && arguments.size() == 2) return parse_options({arguments[1], "--help"});
  if (first == "-h" || first == "--help" || first == "help") return o.text = long_help(), o;
  const CommandHelp* command = find_command(first);
  if (!command) {
    Strings known = command_names();
    known.insert(known.end(), {"--help", "--version"});
    const std::string guess = nearest(first, known);
    throw InputError(cat(
        first,
        first.starts_with("-") ? ": no such flag before a subcommand; " : ": no such subcommand; ",
        guess.empty() ? "haze --help lists the subcommands" : "did you mean haze " + guess + "?"));
  }
  o.command = command->command;

  CLI::App app(std::string("Examples:\n") + command->examples + "\n" + command->about + "\n",
               first);
  const auto written = [&](const std::string& flag) {
    return std::ranges::any_of(
        arguments, [&](const std::string& a) { return a == flag || a.starts_with(flag + "="); });
  };
  switch (o.command) {
    case Command::train:
      train_flags(Flags(app), o, written("--data"));
      break;
    case Command::sample:
      sample_flags(Flags(app), o);
      break;
    case Command::verify:
      verify_flags(Flags(app), o);
      break;
    case Command::export_weights:
      export_flags(Flags(app), o);
      break;
    case Command::data:
      data_flags(Flags(app), o);
      break;
    case Command::bench:
      bench_flags(Flags(app), o);
      break;
    case Command::edit:
      edit_flags(Flags(app), o);
      break;
    case Command::eval:
      eval_flags(Flags(app), o);
      break;
    case Command::classifier:
      classifier_flags(Flags(app), o);
      break;
    case Command::points:
      points_flags(Flags(app), o);
      break;
    default:
      info_flags(Flags(app), o);
  }
  app.set_help_flag("-h,--help", "this text")->group("Output");
  Strings rest(arguments.rbegin(), arguments.rend() - 1);  // CLI11 takes them last first
  try {
    app.parse(rest);
  } catch (const CLI::CallForHelp&) {
    o.text = app.help("haze");
    for (std::size_t at; (at = o.text.find("\n\n\n")) != o.text.npos;) o.text.erase(at, 1);
    o.command = Command::none;
  } catch (const CLI::ParseError& error) {
    explain(app, error);
  }
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames())
      if (option->count() > 0 && (option->get_envname().empty() || written("--" + name)))
        o.common.given.insert("--" + name);
  if (o.common.quiet) o.common.refuse({"--verbose"}, "--quiet", "one of the two");
  if (o.train.skip_bad) o.train.settings["data.skip_bad"] = {{{true}, false}, "--skip-bad"};
  return o;
}

}  // namespace haze::apps
