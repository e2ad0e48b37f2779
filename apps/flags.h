// SPDX-License-Identifier: MIT
// flags.h — the flags of a subcommand: each is added with its help and with the option that it
// fills. The library that parses them, CLI11, is known to flags.cpp alone.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/common_options.h"
#include "apps/config/config.h"
#include "apps/json_writer.h"
#include "kernels/base/check.h"
#include "kernels/base/text.h"

namespace haze::apps {

using Strings = std::vector<std::string>;

/// A flag is "--name" or "-n,--name"; a name without a dash is an argument that is known by its
/// place. What it fills has to live until parse() returns.
class Flags {
 public:
  using Set = std::function<void(const std::string&)>;

  /// `arguments`: what follows the subcommand's name on the command line. `introduction`: the
  /// beginning of its help.
  Flags(const std::string& command, const std::string& introduction, const Strings& arguments,
        CommonOptions& common);
  ~Flags();
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  /// The heading of the flags that follow.
  void group(const std::string& name) { group_ = name; }
  /// Calls set(value), which throws InputError for one that it does not take. The help calls the
  /// value `what`. `environment`: a variable that stands in for the flag.
  void value(const std::string& flag, const std::string& what, const std::string& help, Set set,
             const char* environment = "");
  /// Not for a file: those are input() and output().
  void text(const std::string& flag, std::string& to, const std::string& what,
            const std::string& help, const char* environment = "") {
    for (const char* file : {"FILE", "PATH", "DIR", "SPEC", "PNG"})
      HAZE_CHECK(what.find(file) == what.npos, flag, ": ", what);
    text_of_any(flag, to, what, help, environment);
  }
  /// A file, folder or data set that is read, and one that is written: check_files of
  /// output_checks.h knows both. An output that is where standard output goes becomes "-".
  void input(const std::string& flag, std::string& to, const std::string& what,
             const std::string& help, const char* environment = "");
  void output(const std::string& flag, std::string& to, OutputKind kind, const std::string& what,
              const std::string& help);
  /// `unit`: may stand behind the number, "3%".
  template <class T>
  void number(const std::string& flag, T& to, double min, double max, const std::string& help,
              char unit = 0) {
    const auto set = [&to, flag = flag.substr(flag.rfind(',') + 1), min, max,
                      unit](const std::string& s) {
      const std::size_t size = s.size() - (unit && s.ends_with(unit));
      const auto number = parse_number<T>(std::string_view(s).substr(0, size));
      if (!number || !(double(*number) >= min && double(*number) <= max))
        throw InputError(cat(flag, ": ", s, "; a ", std::is_integral_v<T> ? "whole " : "",
                             "number ", range_text(min, max)));
      to = *number;
    };
    value(flag, "N", help, set);
  }
  void one_of(const std::string& flag, const Strings& words, const std::string& help, Set set);
  /// One of an enumeration's words.
  template <HasWords E>
  void choice(const std::string& flag, E& to, const std::string& help) {
    one_of(flag, words_of<E>(), help, [&to](const std::string& s) { to = *value_of<E>(s); });
  }
  template <HasWords E>
  void choice(const std::string& flag, std::optional<E>& to, const std::string& help) {
    one_of(flag, words_of<E>(), help, [&to](const std::string& s) { to = value_of<E>(s); });
  }
  /// A flag that may be given several times; with `separator` also several values at once.
  void list(const std::string& flag, Strings& to, const std::string& what, const std::string& help,
            char separator = 0);
  /// The same of files that are read.
  void inputs(const std::string& flag, Strings& to, const std::string& what,
              const std::string& help);
  /// A flag without a value: given, it sets `to`.
  void boolean(const std::string& flag, bool& to, const std::string& help, bool becomes = true);
  /// A flag that sets a configuration key.
  void key(const std::string& flag, const std::string& what, const std::string& key, Settings& into,
           const std::string& help);
  /// --set.
  void settings(Settings& into);

  /// Whether the flag is on the command line; the environment's value does not count.
  bool written(const std::string& flag) const;

  /// Reads the arguments and the environment into the options. Returns the help's text if that is
  /// asked for, else "". Throws InputError.
  std::string parse();

  CommonOptions& common;

 private:
  void text_of_any(const std::string& flag, std::string& to, const std::string& what,
                   const std::string& help, const char* environment) {
    value(
        flag, what, help, [&to](const std::string& s) { to = s; }, environment);
  }
  struct Parser;
  std::unique_ptr<Parser> parser_;
  struct File {
    std::string flag;
    std::string* path;
    std::optional<OutputKind> output;  // none: an input
  };
  void collect_files();
  Strings arguments_;
  std::vector<File> files_;
  std::vector<std::pair<std::string, const Strings*>> lists_;  // of inputs
  std::string group_ = "Options";
};

/// The word's error where one of `known` is meant: "FLAG: WORD; one of A, B; did you mean B?"
[[noreturn]] void refuse_word(const std::string& flag, const std::string& word,
                              const Strings& known, const char* quantity);

}  // namespace haze::apps
