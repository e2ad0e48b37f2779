// SPDX-License-Identifier: MIT
// bench_compare.cpp — `haze bench compare`: did it become faster? Two files of `haze bench --out`.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/commands/bench.h"
#include "apps/config/find.h"
#include "apps/data/input_file.h"
#include "apps/json_writer.h"
#include "apps/standard_output.h"

namespace haze::apps {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kMostBytes = std::size_t(16) << 20;
constexpr int kMostDepth = 8;  // bench writes four levels
/// Medians this close are the same where the spreads overlap: clocks and neighbours do as much.
constexpr double kSame = 0.02;
/// Milliseconds that a measurement can have: a picosecond to thirty years. Their ratios are finite.
constexpr double kLeast = 1e-9, kMost = 1e12;

/// The samples of each result in milliseconds, by its name.
struct File {
  std::string device;
  std::vector<std::string> names;  // in order
  std::map<std::string, std::vector<double>> samples;
};

std::vector<double> numbers(const Json& list, double scale) {
  std::vector<double> all;
  for (const Json& x : list) {
    all.push_back(x.get<double>() * scale);
    if (!(all.back() >= kLeast && all.back() <= kMost)) throw InputError("a time that is none");
  }
  if (all.empty()) throw InputError("no samples");
  return all;
}

File read(const std::string& path) {
  const std::string text = read_text(path, kMostBytes), name = printable(path);
  try {
    const Json json = Json::parse(text, [](int depth, Json::parse_event_t, Json&) {
      if (depth > kMostDepth) throw InputError(cat("nested deeper than ", kMostDepth));
      return true;
    });
    if (json.at("schema") != "haze-bench/1") throw InputError("another schema");
    File file{json.at("device"), {}, {}};
    const auto add = [&](const std::string& what, std::vector<double> samples) {
      if (!file.samples.emplace(what, std::move(samples)).second) throw InputError(what + " twice");
      file.names.push_back(what);
    };
    const auto word = [](const Json& of, const char* key) { return of.at(key).get<std::string>(); };
    const auto whole = [&](const char* key) {  // get<int>() would cut 8.5 and 2^40 to what fits
      const Json& n = json.at(key);
      if (!n.is_number_integer() || n < 1 || n > std::numeric_limits<int>::max())
        throw InputError(cat(key, ": ", n.dump(), "; a whole number is needed"));
      return n.get<int>();
    };
    if (json.at("what") == "kernels") {
      for (const Json& row : json.at("results"))
        add(cat(word(row, "kernel"), word(row, "impl") == "haze" ? "" : "/" + word(row, "impl"),
                " ", word(row, "shape"), " ", word(row, "dtype")),
            numbers(row.at("cold").at("samples_ns"), 1e-6));
    } else {
      add(cat(word(json, "what"), " ", word(json, "config"), " batch=", whole("batch"),
              " threads=", whole("threads"), " ", word(json, "precision")),
          numbers(json.at("milliseconds"), 1));
    }
    return file;
  } catch (const Json::exception& e) {
    throw InputError(cat(name, ": not what haze bench --out writes; ", printable(e.what())));
  } catch (const InputError& e) {
    throw InputError(cat(name, ": not what haze bench --out writes; ", printable(e.what())));
  }
}

struct Row {
  std::string name;
  double before, after;  // medians, milliseconds
  const char* verdict;
  double ratio() const { return after / before; }
};

/// Where the middle three fifths of the samples do not overlap there is a difference; where they do
/// and the medians differ, it takes more samples to say.
Row judge(const std::string& name, const std::vector<double>& before,
          const std::vector<double>& after) {
  const auto q = bench_quantile;
  Row row{name, q(before, 0.5), q(after, 0.5), "unclear"};
  if (q(after, 0.8) < q(before, 0.2))
    row.verdict = "faster";
  else if (q(after, 0.2) > q(before, 0.8))
    row.verdict = "slower";
  else if (std::abs(row.ratio() - 1) <= kSame)
    row.verdict = "same";
  return row;
}

void print(const std::vector<Row>& rows, bool json) {
  if (!json) {
    print_formatted(
        "| what | before us | after us | after / before | verdict |\n|---|---|---|---|---|\n");
    for (const Row& row : rows)
      print_formatted("| %s | %.1f | %.1f | %.3f | %s |\n", printable(row.name).c_str(),
                      row.before * 1e3, row.after * 1e3, row.ratio(), row.verdict);
    return;
  }
  JsonWriter w;
  w.begin_object().field("schema", "haze-bench-compare/1").key("results").begin_array();
  for (const Row& row : rows) {
    w.begin_object().field("what", row.name).field("before_ns", row.before * 1e6);
    w.field("after_ns", row.after * 1e6).field("ratio", row.ratio());
    w.field("verdict", row.verdict).end_object();
  }
  apps::print(w.end_array().end_object().text() + "\n");
}

}  // namespace

double bench_quantile(std::vector<double> samples, double q) {
  std::ranges::sort(samples);
  return samples[std::min(samples.size() - 1, std::size_t(q * double(samples.size())))];
}

int bench_compare(const BenchOptions& options, const Program& program) {
  if (options.before.empty() || options.after.empty())
    throw InputError("bench compare: needs two files; haze bench compare BEFORE.json AFTER.json");
  const File before = read(options.before), after = read(options.after);
  if (before.device != after.device)
    program.console.warning(cat("the devices differ: ", printable(before.device), " before, ",
                                printable(after.device), " after"));
  std::vector<Row> rows;
  for (const std::string& name : before.names)
    if (const auto at = after.samples.find(name); at != after.samples.end())
      rows.push_back(judge(name, before.samples.at(name), at->second));
  if (rows.empty())
    throw InputError(cat("bench compare: ", printable(options.before), " and ",
                         printable(options.after), "; no result is in both"));
  if (const std::size_t alone = before.names.size() + after.names.size() - 2 * rows.size())
    program.console.warning(cat(alone, " results are in one of the files only, and left out"));
  print(rows, options.json);
  int slower = 0;
  for (const Row& row : rows)
    slower += row.verdict == std::string("slower") && row.ratio() > 1 + options.fail_on / 100;
  if (options.fail_on < 0 || slower == 0) return 0;
  program.console.warning(cat(slower, " slower by more than ", options.fail_on, " %"));
  return 1;
}

}  // namespace haze::apps
