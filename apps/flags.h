// flags.h — the flags of a subcommand as CLI11 takes them. Included by the options' own .cpp files
// alone: nobody else knows CLI11.
#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "apps/options.h"
#include "apps/suggest.h"

namespace haze::apps {

using Strings = std::vector<std::string>;

/// CLI11's own layout, less its decorations: "--flag VALUE", with the environment variable.
class Format : public CLI::Formatter {
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string env = option->get_envname();
    return (option->get_type_size() ? " " + option->get_type_name() : "") +
           (env.empty() ? "" : " (" + env + ")");
  }
};

/// Adds the flags of one subcommand, group by group.
class Flags {
 public:
  explicit Flags(CLI::App& app) : app_(app) {
    auto format = std::make_shared<Format>();
    format->column_width(34);
    app_.formatter(format);
  }
  Flags& group(const std::string& name) {
    group_ = name;
    return *this;
  }
  template <class F>  // f(const std::string&)
  CLI::Option* value(const std::string& flag, const std::string& what, const std::string& help,
                     F f) {
    std::function<void(const std::string&)> set = f;
    return app_.add_option_function(flag, set, help)->type_name(what)->group(group_);
  }
  CLI::Option* text(const std::string& flag, std::string& to, const std::string& what,
                    const std::string& help) {
    return value(flag, what, help, [&to](const std::string& s) { to = s; });
  }
  /// `unit`: may stand behind the number, "3%".
  template <class T>
  CLI::Option* number(const std::string& flag, T& to, double min, double max,
                      const std::string& help, char unit = 0) {
    const auto set = [&to, flag = flag.substr(flag.rfind(',') + 1), min, max,
                      unit](const std::string& s) {
      T x{};
      const char* last = s.data() + s.size() - (unit && s.ends_with(unit));
      const auto [end, error] = std::from_chars(s.data(), last, x);
      if (error != std::errc() || end != last || !(double(x) >= min && double(x) <= max))
        throw InputError(cat(flag, ": ", s, "; a ", std::is_integral_v<T> ? "whole " : "",
                             "number from ", std::int64_t(min), " to ", std::int64_t(max)));
      to = x;
    };
    return value(flag, "N", help, set);
  }
  CLI::Option* one_of(const std::string& flag, const Strings& words, const std::string& help,
                      std::function<void(const std::string&)> f) {
    std::string list;
    for (const auto& w : words) list += (list.empty() ? "" : "|") + w;
    return value(flag, list, help, [flag, words, f](const std::string& s) {
      if (std::ranges::find(words, s) == words.end()) {
        const std::string guess = nearest(s, words);
        std::string all;
        for (const auto& w : words) all += (all.empty() ? "" : ", ") + w;
        throw InputError(cat(flag, ": ", s, "; one of ", all,
                             guess.empty() ? "" : "; did you mean " + guess + "?"));
      }
      f(s);
    });
  }
  /// --precision for a network that is trained already.
  template <class T>  // Precision, or an optional one
  void precision(T& to, const std::string& help) {
    one_of("--precision", {"f32", "tf32", "bf16"}, help, [&to](const std::string& s) {
      for (const Precision p : {Precision::f32, Precision::tf32, Precision::bf16})
        if (s == name_of(p)) to = p;
    });
  }
  /// A flag that may be given several times; with `separator` also several values at once.
  void list(const std::string& flag, Strings& to, const std::string& what, const std::string& help,
            char separator = 0) {
    std::function<void(const Strings&)> add = [&to](const Strings& all) {
      to.insert(to.end(), all.begin(), all.end());
    };
    CLI::Option* option = app_.add_option_function(flag, add, help)->type_name(what)->group(group_);
    option->allow_extra_args(false);
    if (separator) option->delimiter(separator);
  }
  void yes(const std::string& flag, bool& to, const std::string& help, bool becomes = true) {
    app_.add_flag_callback(
            flag, [&to, becomes] { to = becomes; }, help)
        ->group(group_);
  }
  /// A flag that sets a configuration key.
  CLI::Option* key(const std::string& flag, const std::string& what, const std::string& key,
                   Settings& into, const std::string& help) {
    return value(flag, what, help, [&into, flag, key](const std::string& s) {
      parse_assignment(key + "=" + s, flag, into);
    });
  }
  void settings(Settings& into) {
    std::function<void(const Strings&)> set = [&into](const Strings& all) {
      for (const std::string& one : all) parse_assignment(one, "--set", into);
    };
    app_.add_option_function("--set", set, "set a configuration key; haze info --keys lists them")
        ->type_name("KEY=VALUE")
        ->group(group_);
  }

 private:
  CLI::App& app_;
  std::string group_ = "Options";
};

/// What --seed takes: a number below 2^53, or "random".
std::uint64_t seed_of(const std::string& text);
/// What --size takes: height and width from "32x48".
std::vector<int> size_of(const std::string& text);
/// Flags that several subcommands have.
void common_flags(Flags& flags, CommonOptions& o);
void compute_flags(Flags& flags, CommonOptions& o, bool& fusion);
/// --no-metadata, of commands that draw pictures of samples.
void metadata_flag(Flags& flags, SampleOptions& s);
/// What to sample from, and how. The defaults are those of `s`, the sampler's is called `usual`;
/// `compares`: several samplers and numbers of steps may be asked for at once.
void sampler_flags(Flags& flags, SampleOptions& s, const std::string& usual, bool compares = false);
/// The subcommands whose flags are in eval_options.cpp.
void classifier_flags(Flags flags, Options& o);
void eval_flags(Flags flags, Options& o);
/// In edit_options.cpp.
void edit_flags(Flags flags, Options& o);

template <class T>
void weights_flag(Flags& flags, T& o) {
  flags.one_of("--weights", {"ema", "raw"}, "averaged or last weights [ema, where there are any]",
               [&o](const std::string& s) { o.ema = s == "ema", o.ema_asked = true; });
}

}  // namespace haze::apps
