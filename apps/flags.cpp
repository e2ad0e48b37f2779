// SPDX-License-Identifier: MIT
// flags.cpp — Flags by CLI11. Every value is checked by the flag's own function or by the table of
// configuration keys, so that all errors have one form.
#include "apps/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "apps/config/aliases.h"
#include "apps/standard_output.h"
#include "apps/suggest.h"

namespace haze::apps {
namespace {

/// CLI11's own layout, less its decorations: "--flag VALUE", with the environment variable.
class Format : public CLI::Formatter {
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string env = option->get_envname();
    return (option->get_type_size() ? " " + option->get_type_name() : "") +
           (env.empty() ? "" : " (" + env + ")");
  }
};

/// Whatever CLI11 objects to, in haze's form.
[[noreturn]] void explain(const CLI::App& command, const CLI::ParseError& error) {
  const std::string help = "; see haze " + command.get_name() + " --help";
  if (const auto extras = command.remaining(); !extras.empty()) {
    Strings known;
    for (const CLI::Option* option : command.get_options())
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    std::string word = extras[0].substr(0, extras[0].find('='));
    std::string guess = word.starts_with("--") ? nearest(word, known) : "";
    const bool sets_keys = std::ranges::find(known, "--set") != known.end();
    if (const std::string key = key_by_another_name(word, {});
        word.starts_with("--") && sets_keys && !key.empty())
      guess = cat("--set ", key, "=...");
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

struct Flags::Parser {
  CLI::App app;
};

Flags::Flags(const std::string& command, const std::string& introduction, const Strings& arguments,
             CommonOptions& common_options)
    : common(common_options),
      parser_(new Parser{CLI::App(introduction, command)}),
      arguments_(arguments) {
  auto format = std::make_shared<Format>();
  format->column_width(34);
  parser_->app.formatter(format);
}

Flags::~Flags() = default;

void Flags::value(const std::string& flag, const std::string& what, const std::string& help,
                  Set set, const char* environment) {
  CLI::Option* option = parser_->app.add_option_function(flag, set, help);
  option->type_name(what)->group(group_)->envname(environment);
}

void Flags::one_of(const std::string& flag, const Strings& words, const std::string& help,
                   Set set) {
  value(flag, joined(words, "|"), help, [flag, words, set](const std::string& s) {
    if (std::ranges::find(words, s) == words.end()) refuse_word(flag, s, words, "one of ");
    set(s);
  });
}

void refuse_word(const std::string& flag, const std::string& word, const Strings& known,
                 const char* quantity) {
  const std::string guess = nearest(word, known);
  throw InputError(cat(flag, ": ", word, "; ", quantity, joined(known, ", "),
                       guess.empty() ? "" : "; did you mean " + guess + "?"));
}

void Flags::list(const std::string& flag, Strings& to, const std::string& what,
                 const std::string& help, char separator) {
  std::function<void(const Strings&)> add = [&to](const Strings& all) {
    to.insert(to.end(), all.begin(), all.end());
  };
  CLI::Option* option = parser_->app.add_option_function(flag, add, help);
  option->type_name(what)->group(group_)->allow_extra_args(false);
  if (separator) option->delimiter(separator);
}

void Flags::input(const std::string& flag, std::string& to, const std::string& what,
                  const std::string& help, const char* environment) {
  text_of_any(flag, to, what, help, environment);
  files_.push_back({flag, &to, {}});
}

void Flags::output(const std::string& flag, std::string& to, OutputKind kind,
                   const std::string& what, const std::string& help) {
  text_of_any(flag, to, what, help, "");
  files_.push_back({flag, &to, kind});
}

void Flags::inputs(const std::string& flag, Strings& to, const std::string& what,
                   const std::string& help) {
  list(flag, to, what, help);
  lists_.emplace_back(flag, &to);
}

void Flags::collect_files() {
  for (const File& file : files_) {
    if (file.path->empty()) continue;
    if (!file.output) {
      common.inputs.push_back({file.flag, *file.path});
      continue;
    }
    const bool lasting = file.output == OutputKind::log || file.output == OutputKind::run;
    if (!lasting && is_standard_output(*file.path)) *file.path = "-";
    common.outputs.push_back({file.flag, *file.path, *file.output});
  }
  for (const auto& [flag, list] : lists_)
    for (const std::string& path : *list) common.inputs.push_back({flag, path});
}

void Flags::boolean(const std::string& flag, bool& to, const std::string& help, bool becomes) {
  const auto set = [&to, becomes] { to = becomes; };
  parser_->app.add_flag_callback(flag, set, help)->group(group_);
}

void Flags::key(const std::string& flag, const std::string& what, const std::string& key,
                Settings& into, const std::string& help) {
  value(flag, what, help,
        [&into, flag, key](const std::string& s) { parse_assignment(key + "=" + s, flag, into); });
}

void Flags::settings(Settings& into) {
  std::function<void(const Strings&)> set = [&into](const Strings& all) {
    for (const std::string& one : all) parse_assignment(one, "--set", into);
  };
  parser_->app
      .add_option_function("--set", set, "set a configuration key; haze info --keys lists them")
      ->type_name("KEY=VALUE")
      ->group(group_);
}

bool Flags::written(const std::string& flag) const {
  return std::ranges::any_of(
      arguments_, [&](const std::string& a) { return a == flag || a.starts_with(flag + "="); });
}

std::string Flags::parse() {
  CLI::App& app = parser_->app;
  app.set_help_flag("-h,--help", "this text")->group("Output");
  try {
    app.parse(Strings(arguments_.rbegin(), arguments_.rend()));  // CLI11 takes them last first
  } catch (const CLI::CallForHelp&) {
    std::string text = app.help("haze");
    for (std::size_t at; (at = text.find("\n\n\n")) != text.npos;) text.erase(at, 1);
    return text;
  } catch (const CLI::ParseError& error) {
    explain(app, error);
  }
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames())
      if (option->count() > 0 && (option->get_envname().empty() || written("--" + name)))
        common.given.insert("--" + name);
  collect_files();
  return "";
}

}  // namespace haze::apps
